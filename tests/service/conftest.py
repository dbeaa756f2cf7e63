"""One service at a time, on real PostgreSQL and RabbitMQ."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr

from billing.app import create_app as create_billing
from billing.settings import Settings as BillingSettings
from chassis.http import app as web
from chassis.http.upstream import UpstreamClient
from chassis.messaging.publisher import Publisher
from chassis.settings import (
    BrokerSettings,
    DatabaseSettings,
    EventSettings,
    Upstream,
)
from chassis.storage import migrations
from chassis.storage.database import Database
from customers.app import create_app as create_customers
from customers.settings import Settings as CustomersSettings
from gateway.app import create_app as create_gateway
from gateway.proxy import Proxy
from gateway.routes import proxy_routes
from gateway.settings import Settings as GatewaySettings
from inventory.app import create_app as create_inventory
from inventory.settings import Settings as InventorySettings
from orders.app import create_app as create_orders
from orders.settings import Settings as OrdersSettings
from tests.support.emptying import emptying
from tests.support.raw_upstream import RawUpstream
from tests.support.servers import DATABASES, PASSWORD
from tests.support.settings import (
    NOWHERE,
    SERVER,
    port,
    refusing,
    settings_of_gateway,
    settings_of_orders,
)
from tools.stack.ports import free_port
from tools.stack.servers.postgres import Postgres
from tools.stack.servers.rabbitmq import RabbitMQ

_numbers = count()
Emptied = Callable[..., AbstractContextManager[Database]]


@pytest.fixture(scope="session")
def database_settings(postgres: Postgres) -> Callable[[str], DatabaseSettings]:
    """The settings of a service's database, migrated."""
    migrated: dict[str, DatabaseSettings] = {}

    def settings(service: str) -> DatabaseSettings:
        if service not in migrated:
            name, user = DATABASES[service]
            migrated[service] = DatabaseSettings(
                host=postgres.host,
                port=postgres.port,
                name=name,
                user=user,
                password=SecretStr(PASSWORD),
            )
            migrations.upgrade(service, migrated[service])
        return migrated[service]

    return settings


@pytest.fixture(autouse=True)
def _no_suspects(state_directory: Path) -> Iterator[None]:
    """Leave no marks of suspected messages: a later consumer would take its messages singly."""
    yield
    shutil.rmtree(state_directory / "suspects", ignore_errors=True)


@pytest.fixture
def empty(postgres: Postgres) -> DatabaseSettings:
    """The settings of a database with nothing in it."""
    name = f"empty_{next(_numbers)}"
    postgres.create_database(name, f"{name}_user", PASSWORD)
    return DatabaseSettings(
        host=postgres.host,
        port=postgres.port,
        name=name,
        user=f"{name}_user",
        password=SecretStr(PASSWORD),
    )


@pytest.fixture(scope="session")
def broker_settings(rabbitmq: RabbitMQ) -> BrokerSettings:
    """The address of the broker."""
    return BrokerSettings(
        host=rabbitmq.host,
        port=rabbitmq.port,
        user="rabbitmq_user",
        password=SecretStr(PASSWORD),
        vhost="billing_vhost",
        queue="billing_queue",
    )


@pytest.fixture(scope="session")
def emptied(database_settings: Callable[[str], DatabaseSettings]) -> Iterator[Emptied]:
    """Lend a service's database whose tables are empty.

    The tests of a process share its connections: to connect takes longer than most tests.
    """
    with ExitStack() as kept:

        @cache
        def database_of(service: str) -> Database:
            return kept.enter_context(closing(Database(database_settings(service), connections=4)))

        @contextmanager
        def lend(service: str, *tables: str) -> Iterator[Database]:
            database = database_of(service)
            with database.autocommit() as connection:
                connection.exec_driver_sql(emptying(tables))
            yield database

        yield lend


@pytest.fixture
def movies_db(emptied: Emptied) -> Iterator[Database]:
    """Inventory's database, empty."""
    tables = ("movies", "products", "reservations", "reservation_lines", "outbox", "inbox")
    with emptied("inventory", *tables, "idempotency_keys") as database:
        yield database


@pytest.fixture
def billing_db(emptied: Emptied) -> Iterator[Database]:
    """Billing's database, empty."""
    with emptied("billing", "orders", "voided_bills", "outbox", "inbox") as database:
        yield database


@pytest.fixture
def gateway_db(emptied: Emptied) -> Iterator[Database]:
    """The gateway's database, empty."""
    tables = ("outbox", "events", "idempotency_keys", "tokens")
    with emptied("gateway", *tables) as database:
        yield database


@pytest.fixture
def gateway_settings(
    gateway_db: Database,
    database_settings: Callable[[str], DatabaseSettings],
    broker_settings: BrokerSettings,
) -> GatewaySettings:
    """The gateway's configuration on the tests' servers; no other service answers."""
    return settings_of_gateway(database_settings("gateway"), broker_settings, free_port())


@pytest.fixture(scope="session")
def gateway_app(
    database_settings: Callable[[str], DatabaseSettings], broker_settings: BrokerSettings
) -> Iterator[Flask]:
    """A gateway whose own publisher is not even started; no other service answers."""
    with refusing() as nobody:
        settings = settings_of_gateway(database_settings("gateway"), broker_settings, nobody)
        yield create_gateway(settings, Publisher(broker_settings, "idle", []))


@pytest.fixture
def gateway(gateway_db: Database, gateway_app: Flask) -> FlaskClient:
    """A client of a gateway whose own publisher is not even started; no other service answers."""
    return gateway_app.test_client()


@pytest.fixture
def inventory_settings(
    movies_db: Database,
    database_settings: Callable[[str], DatabaseSettings],
    broker_settings: BrokerSettings,
) -> InventorySettings:
    """Inventory's configuration on the tests' servers."""
    database, broker = database_settings("inventory"), broker_settings
    return InventorySettings(SERVER, port(), port(), database, broker, consumer_port=port())


@pytest.fixture(scope="session")
def inventory_app(database_settings: Callable[[str], DatabaseSettings]) -> Flask:
    """inventory-api, whose events stay in the outbox."""
    database = database_settings("inventory")
    settings = InventorySettings(SERVER, port(), port(), database, NOWHERE, consumer_port=port())
    return create_inventory(settings)


@pytest.fixture
def inventory(movies_db: Database, inventory_app: Flask) -> FlaskClient:
    """A client of inventory-api, whose events stay in the outbox."""
    return inventory_app.test_client()


@pytest.fixture
def billing_settings(
    billing_db: Database,
    database_settings: Callable[[str], DatabaseSettings],
    broker_settings: BrokerSettings,
) -> BillingSettings:
    """Billing's configuration on the tests' servers."""
    database = database_settings("billing")
    return BillingSettings(SERVER, port(), port(), database, broker_settings, consumer_port=port())


@pytest.fixture(scope="session")
def billing_app(database_settings: Callable[[str], DatabaseSettings]) -> Flask:
    """billing-api, which needs no broker."""
    database = database_settings("billing")
    settings = BillingSettings(SERVER, port(), port(), database, NOWHERE, consumer_port=port())
    return create_billing(settings)


@pytest.fixture
def billing(billing_db: Database, billing_app: Flask) -> FlaskClient:
    """A client of billing-api."""
    return billing_app.test_client()


@pytest.fixture
def customers_db(emptied: Emptied) -> Iterator[Database]:
    """The database of customers, empty."""
    with emptied("customers", "customers", "outbox", "idempotency_keys") as database:
        yield database


@pytest.fixture(scope="session")
def customers_app(database_settings: Callable[[str], DatabaseSettings]) -> Flask:
    """customers-api, whose events stay in the outbox."""
    database = database_settings("customers")
    settings = CustomersSettings(SERVER, port(), port(), database, NOWHERE, events=EventSettings())
    return create_customers(settings)


@pytest.fixture
def customers(customers_db: Database, customers_app: Flask) -> FlaskClient:
    """A client of customers-api, whose events stay in the outbox."""
    return customers_app.test_client()


@pytest.fixture
def orders_db(emptied: Emptied) -> Iterator[Database]:
    """The database of orders, empty."""
    own = ("orders", "order_lines", "order_history", "deleted_orders", "unconfirmed_sales")
    shared = ("outbox", "inbox", "idempotency_keys")
    with emptied("orders", *own, *shared, "customers", "mails") as database:
        yield database


@pytest.fixture
def orders_settings(
    orders_db: Database,
    database_settings: Callable[[str], DatabaseSettings],
    broker_settings: BrokerSettings,
    tmp_path: Path,
) -> OrdersSettings:
    """The configuration of orders on the tests' servers."""
    return settings_of_orders(database_settings("orders"), broker_settings, tmp_path)


@pytest.fixture
def orders_unconnected(
    orders_db: Database, database_settings: Callable[[str], DatabaseSettings], tmp_path: Path
) -> OrdersSettings:
    """The configuration of orders without a broker: events stay in the outbox."""
    return settings_of_orders(database_settings("orders"), NOWHERE, tmp_path)


@pytest.fixture(scope="session")
def orders_app(
    database_settings: Callable[[str], DatabaseSettings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flask]:
    """orders-api, whose events stay in the outbox; no other service answers."""
    home = tmp_path_factory.mktemp("orders")
    settings = settings_of_orders(database_settings("orders"), NOWHERE, home)
    with refusing() as nobody:
        inventory = replace(settings.inventory, port=nobody)
        customers = replace(settings.customers, port=nobody)
        yield create_orders(replace(settings, inventory=inventory, customers=customers))


@pytest.fixture
def orders(orders_db: Database, orders_app: Flask) -> FlaskClient:
    """A client of orders-api, whose events stay in the outbox; no other service answers."""
    return orders_app.test_client()


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    """A service that answers with an empty array by default."""
    server = RawUpstream()
    yield server
    server.close()


@pytest.fixture
def movies_gateway(upstream: RawUpstream) -> Flask:
    """A gateway that passes movies on to the upstream, and has nothing else."""
    proxy = Proxy(UpstreamClient(Upstream("inventory-api", "127.0.0.1", upstream.port), 4))
    return web.create_app("gateway", ready=[], routes=[proxy_routes("movies", proxy)])
