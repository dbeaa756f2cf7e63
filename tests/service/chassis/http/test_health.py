"""`/live`, `/ready` and `/metrics`, and what is answered while the database is away."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from chassis.http import app as web
from chassis.messaging.publisher import Publisher
from chassis.outbox.relay import Relay
from chassis.settings import DatabaseSettings
from chassis.storage import database
from chassis.storage.database import Database
from inventory.app import create_app
from inventory.settings import Settings
from tests.support.databases import own_database
from tests.support.servers import DATABASES, PASSWORD
from tests.support.settings import NOWHERE, SERVER, port
from tools.stack import processes
from tools.stack.ports import free_port
from tools.stack.servers.data_directories import private_home
from tools.stack.servers.postgres import Postgres
from tools.stack.waiting import wait_until

Stoppable = tuple[FlaskClient, Postgres]


@pytest.fixture(scope="module")
def stoppable() -> Iterator[Stoppable]:
    """A client of an inventory-api whose PostgreSQL is its own, to be stopped at will."""
    with own_database("inventory") as (settings, server):
        configured = Settings(SERVER, port(), port(), settings, NOWHERE, consumer_port=port())
        yield create_app(configured).test_client(), server


def settings_of(server: Postgres) -> DatabaseSettings:
    """Where inventory's database on a server is."""
    name, user = DATABASES["inventory"]
    return DatabaseSettings(
        host=server.host, port=server.port, name=name, user=user, password=SecretStr(PASSWORD)
    )


def content(response: TestResponse) -> Any:
    """The JSON that a request is answered with."""
    return json.loads(response.data)


def counted(client: FlaskClient, **labels: str) -> float:
    """How many requests with these labels `/metrics` has counted."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == "http_request_duration_seconds_count"
        and labels.items() <= sample.labels.items()
    )


def test_a_process_that_answers_is_live_and_names_itself(inventory: FlaskClient) -> None:
    response = inventory.get("/live")
    assert (response.status_code, content(response)["process"]) == (200, "inventory-api")


def test_a_process_is_ready_when_everything_it_needs_is_up(inventory: FlaskClient) -> None:
    response = inventory.get("/ready")
    assert (response.status_code, content(response)["status"]) == (200, "ready")
    check = content(response)["checks"]["movies_db"]
    assert check["status"] == "up"
    assert check["milliseconds"] > 0


def test_each_dependency_has_a_check_by_name() -> None:
    class Up:
        name = "here"

        def check(self) -> None:
            """Find nothing wrong."""

    class Down:
        name = "away"

        def check(self) -> None:
            """Find it away."""
            raise RuntimeError("refused\nby the peer")

    response = web.create_app("test", ready=[Up(), Down()]).test_client().get("/ready")
    assert (response.status_code, content(response)["status"]) == (503, "unready")
    checks = content(response)["checks"]
    assert checks["here"]["status"] == "up"
    assert (checks["away"]["status"], checks["away"]["detail"]) == ("down", "refused")


def test_health_answers_with_a_trailing_slash_too(inventory: FlaskClient) -> None:
    for path in ("/live/", "/ready/", "/metrics/"):
        assert inventory.get(path).status_code == 200


def test_without_its_database_a_process_is_live_but_not_ready(stoppable: Stoppable) -> None:
    client, server = stoppable
    server.stop()
    assert client.get("/live").status_code == 200
    response = client.get("/ready")
    server.start()
    assert (response.status_code, content(response)["status"]) == (503, "unready")
    assert content(response)["checks"]["movies_db"]["status"] == "down"
    assert client.get("/ready").status_code == 200


def test_no_health_document_shows_a_password(stoppable: Stoppable) -> None:
    client, server = stoppable
    server.stop()
    response = client.get("/ready")
    server.start()
    assert PASSWORD not in response.text


def test_without_its_database_every_route_is_a_503_until_it_is_back(stoppable: Stoppable) -> None:
    client, server = stoppable
    assert client.post("/api/movies", json={"title": "The Matrix"}).status_code == 201
    server.stop()
    responses = [
        client.get("/api/movies"),
        client.get("/api/movies/1"),
        client.post("/api/movies", json={"title": "A"}),
        client.put("/api/movies/1", json={"title": "A"}),
        client.delete("/api/movies/1"),
        client.delete("/api/movies"),
    ]
    server.start()
    for response in responses:
        assert (response.status_code, response.content_type) == (503, "application/problem+json")
        assert int(response.headers["Retry-After"]) >= 1
        assert json.loads(response.data)["cause"] == "database_unavailable"
    assert content(client.get("/api/movies/1"))["title"] == "The Matrix"


def test_bad_input_is_named_even_without_the_database(stoppable: Stoppable) -> None:
    client, server = stoppable
    server.stop()
    response = client.post("/api/movies", json={"title": 5})
    server.start()
    assert response.status_code == 422


def test_metrics_count_requests_by_method_route_and_status(inventory: FlaskClient) -> None:
    labels = {"method": "GET", "route": "/api/movies/<movie_id>", "status": "404"}
    before = counted(inventory, **labels)
    for key in range(3):
        inventory.get(f"/api/movies/{key + 1}")
    assert counted(inventory, **labels) == before + 3
    assert inventory.get("/metrics").content_type.startswith("text/plain")


@pytest.mark.parametrize(("error", "up"), [(None, 1), (ConnectionError("it is away"), 0)])
def test_metrics_show_the_checks_of_ready(error: Exception | None, up: int) -> None:
    check = Mock(check=Mock(side_effect=error))
    check.name = "a_test"
    client = web.create_app("a test", ready=[check]).test_client()
    assert f'process_ready{{check="a_test"}} {up}.0' in client.get("/metrics").text


def test_metrics_do_not_grow_with_requested_paths(inventory: FlaskClient) -> None:
    before = counted(inventory, route="none", status="404")
    inventory.get("/a-path-that-nobody-has")
    assert counted(inventory, route="none", status="404") == before + 1
    assert "a-path-that-nobody-has" not in inventory.get("/metrics").text


def test_metrics_do_not_grow_with_invented_methods(inventory: FlaskClient) -> None:
    inventory.open("/api/movies", method="INVENTED")
    assert "INVENTED" not in inventory.get("/metrics").text


def test_with_the_database_frozen_it_is_not_ready(
    stoppable: Stoppable, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, server = stoppable
    monkeypatch.setattr(database, "CONNECT_TIMEOUT", 2)
    settings = settings_of(server)
    server.start()
    api = create_app(
        Settings(SERVER, port(), port(), settings, NOWHERE, consumer_port=port())
    ).test_client()
    relay = Relay(settings, Publisher(NOWHERE, "idle", []), threading.Event())
    # as one that works
    relay._connected, relay._last_step_at = True, time.monotonic()
    assert api.get("/ready").status_code == 200
    relay.check()
    frozen = server.pids()
    processes.freeze(frozen)
    try:
        assert api.get("/ready").status_code == 503
        with pytest.raises(OperationalError):
            relay.check()
    finally:
        processes.thaw(frozen)
    wait_until(lambda: api.get("/ready").status_code == 200, 60, "it to be ready again")


def test_the_host_that_accepts_writes_is_used(stoppable: Stoppable) -> None:
    _, server = stoppable
    server.start()
    name, user = DATABASES["inventory"]
    with private_home() as home:
        standby = Postgres(home / "postgres", host="127.0.0.1", port=free_port(), fsync=False)
        standby.start()
        standby.create_database(name, user, PASSWORD)
        # to a client as a standby is
        own = Database(settings_of(standby), 1)
        with own.autocommit() as connection:
            connection.execute(text(f"ALTER ROLE {user} SET default_transaction_read_only = on"))
        own.close()
        for first in (standby.port, free_port()):
            both = DatabaseSettings(
                host="127.0.0.1,127.0.0.1",
                port=f"{first},{server.port}",
                name=name,
                user=user,
                password=SecretStr(PASSWORD),
            )
            found = Database(both, 1)
            with found.autocommit() as connection:
                port_of_it = connection.execute(text("SELECT inet_server_port()")).scalar_one()
            assert port_of_it == server.port
            found.check()
            found.close()
        standby.stop()
