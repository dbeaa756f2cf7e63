"""The microservice chassis: what two services or more share, and nothing of any domain."""

VERSION = "0.1.0"  # of the whole platform
