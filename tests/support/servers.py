"""Names on the tests' servers, and types of fixtures."""

from collections.abc import Callable
from typing import Any

Logged = Callable[[], list[dict[str, Any]]]
PASSWORD = "a password of the tests'"
DATABASES = {
    "gateway": ("gateway_db", "gateway_user"),
    "inventory": ("movies_db", "inventory_user"),
    "billing": ("billing_db", "billing_user"),
    "customers": ("customers_db", "customers_user"),
    "orders": ("orders_db", "orders_user"),
}
