"""inventory: movies and products over HTTP, stock for orders, and events of all changes."""
