"""The traffic of a drill: its clients, their requests, and what they saw."""
