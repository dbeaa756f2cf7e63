"""What stands behind ./stack: the servers and processes of one checkout, on one machine."""
