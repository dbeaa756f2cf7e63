"""The microservice chassis: what two services or more share, and nothing of any domain."""
