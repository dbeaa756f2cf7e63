"""orders: what is bought, over HTTP, and the saga that brings each order to its end."""
