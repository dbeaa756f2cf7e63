"""What the gateway sees of the whole platform, as long as somebody looks."""
