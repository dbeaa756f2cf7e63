"""One service at a time, on real PostgreSQL and RabbitMQ."""

from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import text

from billing.app import create_app as create_billing
from billing.settings import Settings as BillingSettings
from chassis import migrations
from chassis.database import Database
from chassis.settings import (
    BrokerSettings,
    DatabaseSettings,
    EventSettings,
    PortSettings,
    ServerSettings,
)
from customers.app import create_app as create_customers
from customers.settings import Settings as CustomersSettings
from inventory.app import create_app as create_inventory
from inventory.settings import Settings as InventorySettings
from local.ports import free_port
from local.postgres import Postgres
from local.rabbitmq import RabbitMQ
from tests.conftest import DATABASES, PASSWORD

SERVER = ServerSettings(bind="127.0.0.1", workers=1, threads=4)


def port() -> PortSettings:
    """A port that is free now."""
    return PortSettings(port=free_port())


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


def emptied(settings: DatabaseSettings, *tables: str) -> Iterator[Database]:
    """Lend a database whose tables are empty."""
    database = Database(settings, connections=4)
    with database.read() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY"))
    yield database
    database.close()


@pytest.fixture
def movies_db(database_settings: Callable[[str], DatabaseSettings]) -> Iterator[Database]:
    """Inventory's database, empty."""
    yield from emptied(database_settings("inventory"), "movies")


@pytest.fixture
def billing_db(database_settings: Callable[[str], DatabaseSettings]) -> Iterator[Database]:
    """Billing's database, empty."""
    yield from emptied(database_settings("billing"), "orders")


@pytest.fixture
def gateway_db(database_settings: Callable[[str], DatabaseSettings]) -> Iterator[Database]:
    """The gateway's database, empty."""
    yield from emptied(database_settings("gateway"), "outbox", "events", "idempotency_keys")


@pytest.fixture
def inventory(
    movies_db: Database, database_settings: Callable[[str], DatabaseSettings]
) -> FlaskClient:
    """A client of inventory-api."""
    settings = InventorySettings(SERVER, port(), database_settings("inventory"))
    return create_inventory(settings).test_client()


@pytest.fixture
def billing_settings(
    billing_db: Database,
    database_settings: Callable[[str], DatabaseSettings],
    broker_settings: BrokerSettings,
) -> BillingSettings:
    """Billing's configuration on the tests' servers."""
    return BillingSettings(SERVER, port(), port(), database_settings("billing"), broker_settings)


@pytest.fixture
def billing(billing_settings: BillingSettings) -> FlaskClient:
    """A client of billing-api."""
    return create_billing(billing_settings).test_client()


@pytest.fixture
def customers_db(database_settings: Callable[[str], DatabaseSettings]) -> Iterator[Database]:
    """The database of customers, empty."""
    yield from emptied(database_settings("customers"), "customers", "outbox")


@pytest.fixture
def customers(
    customers_db: Database, database_settings: Callable[[str], DatabaseSettings]
) -> FlaskClient:
    """A client of customers-api, whose events stay in the outbox."""
    nowhere = BrokerSettings(
        host="127.0.0.1", user="", password=SecretStr(""), vhost="", queue="billing_queue"
    )
    database = database_settings("customers")
    settings = CustomersSettings(SERVER, port(), port(), database, nowhere, EventSettings())
    return create_customers(settings).test_client()
