"""The state of the whole platform, watched by the gateway while somebody asks for it."""
