"""Settings of services on the tests' servers."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from chassis.settings import (
    BrokerSettings,
    DatabaseSettings,
    PortSettings,
    ServerSettings,
    Upstream,
)
from gateway.settings import AuthSettings
from gateway.settings import Settings as GatewaySettings
from orders.mail.settings import MailSettings
from orders.settings import Settings as OrdersSettings
from tools.stack.ports import free_port

SERVER = ServerSettings(bind="127.0.0.1", workers=1, threads=4)
NOWHERE = BrokerSettings(host="127.0.0.1", user="", password=SecretStr(""), vhost="", queue="")


def port() -> PortSettings:
    """A free port."""
    return PortSettings(port=free_port())


@contextmanager
def refusing() -> Iterator[int]:
    """Lend a port that refuses connections, and that nobody else gets for the block."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def settings_of_gateway(
    database: DatabaseSettings, broker: BrokerSettings, upstream: int
) -> GatewaySettings:
    """The configuration of a gateway with one server, at this port, for all services."""
    server = Upstream("the service", "127.0.0.1", upstream)
    return GatewaySettings(
        *(SERVER, port(), port(), database, broker),
        inventory=server,
        billing=server,
        customers=server,
        orders=server,
        auth=AuthSettings(),
    )


def settings_of_orders(
    database: DatabaseSettings, broker: BrokerSettings, home: Path
) -> OrdersSettings:
    """The configuration of orders; no other service is available."""
    return OrdersSettings(
        server=SERVER,
        port=port(),
        consumer_port=port(),
        relay_port=port(),
        mail_port=port(),
        database=database,
        broker=broker,
        inventory=Upstream("inventory-api", "127.0.0.1", free_port()),
        customers=Upstream("customers-api", "127.0.0.1", free_port()),
        mail=MailSettings(mail_dir=home / "mail"),
    )
