"""Tokens: who may call what."""
