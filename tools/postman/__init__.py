"""Makes postman_collection.json from openapi.yaml; has Postman's own programs for the tests.

Own code: @apideck/portman 1.33 follows no `links`, writes other random examples with each run, and
would have the drill's scripts as strings of a configuration file.
A package of its own: it belongs to no machine, and needs no stack that runs.
"""
