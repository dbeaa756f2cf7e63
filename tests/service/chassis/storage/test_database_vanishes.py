"""A PostgreSQL whose machine vanishes without a word: what is sent there is lost, nothing comes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from chassis.messaging.declarations import of_exchange
from chassis.settings import BrokerSettings
from chassis.storage import database
from chassis.storage.connections import Readable
from chassis.storage.database import Database
from inventory.app import create_app
from inventory.events import EXCHANGE
from inventory.settings import Settings
from tests.support.at_work import at_work
from tests.support.databases import own_database
from tests.support.mailing import eventually
from tests.support.relaying import relay_until
from tests.support.settings import NOWHERE, SERVER, port
from tools.drills.targets.network import Network
from tools.drills.targets.platform import Unsuitable
from tools.stack.errors import StackError

BOUND = 30.0  # three times what the settings of the connections lead to
UNSENT = "outbox WHERE sent_at IS NULL"
SLEEPING = "pg_stat_activity WHERE wait_event = 'PgSleep'"
SLEEP = text("SET LOCAL statement_timeout = 0; SELECT pg_sleep(120)")


@contextmanager
def cut_off(server_port: int) -> Iterator[None]:
    """Have all packets from and to a port of this machine vanish."""
    network = Network(f"tests_cut_{server_port}")
    try:
        with network.disturbed("cut", ("127.0.0.1", server_port)):
            yield
    except Unsuitable as error:
        pytest.skip(f"cutting a database off {error}")
    except StackError as error:
        if "nft" not in str(error):
            raise
        pytest.skip(f"cutting a database off needs nftables: {error}")


def slept(used: Database) -> None:
    """Wait for an answer that is long in coming."""
    with used.transaction() as connection:
        connection.execute(SLEEP)


def count(used: Database, of: str) -> int:
    """How many rows there are."""
    with used.autocommit() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {of}")).scalar_one())


def idling(used: Database) -> Any:
    """Use a connection, and return it as the driver knows it, back in the pool."""
    with used.autocommit() as connection:
        connection.execute(text("SELECT 1"))
        return connection.connection.driver_connection


def test_a_machine_that_vanishes_is_noticed_in_time_and_all_goes_on_when_it_is_back(
    broker_settings: BrokerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CONNECT_TIMEOUT", 2)
    # so that the kernel notices, not the limit for answers
    monkeypatch.setattr(database, "ANSWER_SECONDS", 10 * BOUND)
    with own_database("inventory") as (where, server), ThreadPoolExecutor(4) as pool:
        settings = Settings(SERVER, port(), port(), where, NOWHERE, consumer_port=port())
        api = create_app(settings).test_client()
        with closing(Database(where, 2)) as used, closing(Database(where, 1)) as idle:
            topology = of_exchange(EXCHANGE, broker_settings)
            relay = partial(relay_until, where, broker_settings, topology)
            with at_work(relay):
                assert api.post("/api/movies", json={"title": "Metropolis"}).status_code == 201
                eventually(lambda: count(used, UNSENT) == 0, "the first event to be relayed")
                driver = idling(idle)
                in_flight = pool.submit(slept, used)
                eventually(lambda: count(used, SLEEPING) == 1, "a query in flight")
                with cut_off(server.port):
                    asked = pool.submit(api.get, "/api/movies")
                    assert api.get("/ready").status_code == 503
                    with pytest.raises(OperationalError) as noticed:
                        in_flight.result(BOUND)
                    assert database.is_outage(noticed.value)
                    assert asked.result(BOUND).status_code == 503
                    eventually(
                        lambda: bool(Readable(driver.fileno())), "the idle connection to end", BOUND
                    )
                assert api.get("/ready").status_code == 200
                assert api.get("/api/movies").status_code == 200
                assert idling(idle) is not driver
                assert api.post("/api/movies", json={"title": "M"}).status_code == 201
                eventually(lambda: count(used, UNSENT) == 0, "the second event to be relayed")
