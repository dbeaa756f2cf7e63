"""The edge: identifies the client, checks its requests, and limits them."""
