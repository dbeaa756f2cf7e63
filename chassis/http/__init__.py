"""HTTP: the server, requests and answers, and calls to other services."""
