"""OPTIONS says which methods there are, at every path of the gateway itself."""

import pytest
from flask.testing import FlaskClient

OWN = {
    "/api/orders/1/details": "GET, HEAD, OPTIONS",
    "/api/commandes/1/details/": "GET, HEAD, OPTIONS",
    "/api/billing": "GET, HEAD, OPTIONS, POST",
    "/api/events": "GET, HEAD, OPTIONS",
    "/api/events/0b6c1f3e-6f0a-4c5b-9a54-0d1f6d3b8f11": "GET, HEAD, OPTIONS",
    "/api/event/shop/order/create": "OPTIONS, POST",
    "/api/status": "GET, HEAD, OPTIONS",
    "/": "GET, HEAD, OPTIONS",
    "/docs": "GET, HEAD, OPTIONS",
    "/openapi.yaml": "GET, HEAD, OPTIONS",
    "/live": "GET, HEAD, OPTIONS",
    "/ready": "GET, HEAD, OPTIONS",
    "/metrics": "GET, HEAD, OPTIONS",
}


@pytest.mark.parametrize(("path", "methods"), OWN.items())
def test_options_names_the_methods(gateway: FlaskClient, path: str, methods: str) -> None:
    answer = gateway.options(path)
    assert answer.status_code in (200, 204)
    assert ", ".join(sorted(answer.headers["Allow"].split(", "))) == methods
