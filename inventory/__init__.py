"""inventory: movies and products over HTTP, stock for orders, and events that tell of changes."""
