"""The traffic of a drill: its clients, their requests, and the answers."""
