"""HTTP, on both sides: the server, requests, answers, and calls to other services."""
