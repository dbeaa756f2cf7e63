"""Which services, processes and addresses there are, and where the checkout's own things lie."""

from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
INSTALLED = CHECKOUT / ".stack"
SWAGGER_UI = INSTALLED / "swagger-ui" / "node_modules" / "swagger-ui-dist"
SERVICES = ("gateway", "inventory", "billing", "customers", "orders")
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Process:
    """A PM2 process: its name, its service and the variable that holds its HTTP port."""

    name: str
    service: str
    port_variable: str

    @property
    def bind_variable(self) -> str:
        """The variable that holds the address it listens on."""
        return f"{self.service.upper()}_BIND"


PROCESSES = (
    Process("gateway", "gateway", "GATEWAY_PORT"),
    Process("gateway-relay", "gateway", "GATEWAY_RELAY_PORT"),
    Process("inventory-api", "inventory", "INVENTORY_API_PORT"),
    Process("inventory-consumer", "inventory", "INVENTORY_CONSUMER_PORT"),
    Process("inventory-relay", "inventory", "INVENTORY_RELAY_PORT"),
    Process("billing-api", "billing", "BILLING_API_PORT"),
    Process("billing-consumer", "billing", "BILLING_CONSUMER_PORT"),
    Process("billing-relay", "billing", "BILLING_RELAY_PORT"),
    Process("customers-api", "customers", "CUSTOMERS_API_PORT"),
    Process("customers-relay", "customers", "CUSTOMERS_RELAY_PORT"),
    Process("orders-api", "orders", "ORDERS_API_PORT"),
    Process("orders-consumer", "orders", "ORDERS_CONSUMER_PORT"),
    Process("orders-relay", "orders", "ORDERS_RELAY_PORT"),
    Process("mail-worker", "orders", "MAIL_WORKER_PORT"),
)
