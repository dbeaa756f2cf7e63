"""Makes postman_collection.json from openapi.yaml; has Postman's own programs for the tests.

A package of its own: it belongs to no machine, and needs no stack that runs.
"""
