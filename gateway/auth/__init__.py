"""Tokens: who may call what, by `CLASS:read` and `CLASS:write`."""
