"""Whether what was promised is there."""
