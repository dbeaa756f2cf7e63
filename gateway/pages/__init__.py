"""What browsers load: the live page, the API's documentation, and their files."""
