"""The cache of answers about movies and products."""
