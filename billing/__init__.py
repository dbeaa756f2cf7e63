"""billing: records the bills that arrive in billing_queue, and lists them."""
