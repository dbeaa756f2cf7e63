"""What billing does with each kind of message."""
