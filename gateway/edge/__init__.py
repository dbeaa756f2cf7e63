"""The edge: who the client is, what it may send, and how much of it."""
