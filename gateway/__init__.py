"""gateway: the only way in; passes requests on, and takes bills for the queue."""
