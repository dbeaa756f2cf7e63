"""Generates postman_collection.json from openapi.yaml; holds Postman's programs for the tests.

Own code: @apideck/portman 1.33 follows no `links`, writes other random examples with each run, and
would need the drill's scripts as strings in a configuration file.
This is a separate package, since it belongs to no machine and needs no running stack.
"""
