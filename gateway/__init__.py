"""gateway: the only entrance; forwards requests, and accepts bills and events for the broker."""
