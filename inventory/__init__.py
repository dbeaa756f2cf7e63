"""inventory: movies (and what is sold of them), over HTTP."""
