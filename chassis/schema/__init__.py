"""Data from outside: decoded and checked against a schema, with our own error messages."""
