"""The microservice chassis: what two services or more share, and nothing of any domain."""

from chassis import metric_files

VERSION = "0.1.0"  # of the whole platform

metric_files.install()
