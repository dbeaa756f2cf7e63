"""The handlers of billing's messages, one module for each kind."""
