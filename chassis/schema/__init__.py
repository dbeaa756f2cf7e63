"""Data from outside: decoded, checked against a schema, and refused in our own words."""
