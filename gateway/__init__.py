"""gateway: the only way in; passes requests on, and takes bills and events for the broker."""
