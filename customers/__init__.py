"""customers: who buys, over HTTP, and events that tell of their changes."""
