"""The products that the examples of openapi.yaml order."""

from tests.support import openapi

OPERATIONS = {operation.id: operation for operation in openapi.operations()}
JSON = "application/json"
ORDERED = [
    item["product_id"]
    for order in openapi.examples(OPERATIONS["createOrder"].bodies[JSON]).values()
    for item in order.get("items", [])
]
