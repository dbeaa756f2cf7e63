"""Idempotency-Key: a repeated POST gets the first answer and has no second effect."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Blueprint, Response, jsonify, request
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from werkzeug.test import TestResponse

from chassis.errors import ConflictError, UnavailableError
from chassis.http import app as web
from chassis.http import idempotency
from chassis.http import request as parsing
from chassis.schema.fields import Schema, Title
from chassis.settings import DatabaseSettings
from chassis.storage.database import Database
from chassis.storage.idempotency_keys import RequestKey, keys

KEY = {"Idempotency-Key": "key-1"}
SECONDS = 60.0


class Thing(Schema):
    """What is posted here."""

    title: Title


@dataclass
class Service:
    """A service whose POST counts its effects, and whose next effects can be made to differ."""

    database: Database
    ids: list[str] = field(default_factory=list)
    effect: Callable[[], Response] | None = None

    def act(self, key: RequestKey | None) -> Response:
        """Do what a POST does: check, act, answer."""
        parsing.body(Thing)
        self.ids.append(str(key.message_id) if key else "none")
        if self.effect:
            return self.effect()
        response = jsonify(number=len(self.ids))
        response.status_code = 202
        response.headers["Location"] = f"/things/{len(self.ids)}"
        return response

    def routes(self) -> Blueprint:
        """`/things`, and `/others`, which is another route."""
        routes = Blueprint("things", __name__)

        @routes.post("/things", endpoint="things")
        @routes.post("/others", endpoint="others")
        def post() -> Response:
            if not idempotency.is_requested():
                return self.act(None)
            key = idempotency.requested("a caller", request.path)
            return idempotency.answer(self.database, key, lambda: self.act(key))

        return routes


@pytest.fixture
def service(gateway_db: Database) -> Service:
    """A service that keeps its keys in the gateway's database."""
    return Service(gateway_db)


@pytest.fixture
def client(service: Service) -> FlaskClient:
    """A client of the service."""
    return web.create_app("test", ready=[], routes=[service.routes()]).test_client()


@pytest.fixture
def blocked(service: Service, client: FlaskClient) -> Iterator[Callable[[], TestResponse]]:
    """A POST under the key that has begun; what is returned lets it end and gives its answer."""
    begun, end = threading.Event(), threading.Event()

    def wait() -> Response:
        begun.set()
        assert end.wait(SECONDS)
        return jsonify(number="the first")

    service.effect = wait
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, client.application.test_client())
        assert begun.wait(SECONDS)
        service.effect = None

        def finish() -> TestResponse:
            end.set()
            return first.result(SECONDS)

        yield finish
        end.set()


def post(
    client: FlaskClient, title: str = "A", path: str = "/things", headers: dict[str, str] = KEY
) -> TestResponse:
    """Post a thing, under the key unless told otherwise."""
    return client.post(path, json={"title": title}, headers=headers)


def problem(response: TestResponse, status: int) -> dict[str, Any]:
    """The problem document that a request is answered with."""
    assert (response.status_code, response.content_type) == (status, "application/problem+json")
    document: dict[str, Any] = json.loads(response.data)
    return document


def age(database: Database, interval: str) -> None:
    """Make all keys older."""
    statement = text("UPDATE idempotency_keys SET claimed_at = claimed_at - CAST(:by AS interval)")
    with database.autocommit() as connection:
        assert connection.execute(statement, {"by": interval}).rowcount


def kept(database: Database) -> int:
    """How many keys there are."""
    with database.autocommit() as connection:
        return connection.execute(select(func.count()).select_from(keys)).scalar_one()


def test_a_repeated_key_gets_the_first_answer_and_has_no_second_effect(
    client: FlaskClient, service: Service
) -> None:
    first, second = post(client), post(client)
    assert (first.status_code, first.json) == (202, {"number": 1})
    assert (second.status_code, second.data) == (202, first.data)
    for name in ("Content-Type", "Location"):
        assert second.headers[name] == first.headers[name]
    assert len(service.ids) == 1


def test_a_replayed_answer_is_marked(client: FlaskClient) -> None:
    assert "Idempotency-Replayed" not in post(client).headers
    assert post(client).headers["Idempotency-Replayed"] == "true"


def test_without_a_key_every_request_has_its_effect(client: FlaskClient, service: Service) -> None:
    assert [post(client, headers={}).json for _ in range(2)] == [{"number": 1}, {"number": 2}]
    assert kept(service.database) == 0


def test_another_key_is_another_request(client: FlaskClient) -> None:
    assert post(client).json == {"number": 1}
    assert post(client, headers={"Idempotency-Key": "key-2"}).json == {"number": 2}


def test_the_same_key_at_another_route_is_another_request(
    client: FlaskClient, service: Service
) -> None:
    post(client)
    assert post(client, path="/others").json == {"number": 2}
    assert service.ids[0] != service.ids[1]


def test_the_same_key_of_another_caller_is_another_request() -> None:
    first = RequestKey("alice", "POST /things", "key-1", b"")
    second = RequestKey("bob", "POST /things", "key-1", b"")
    assert first.message_id != second.message_id


def test_a_repeated_key_with_another_body_is_refused(client: FlaskClient, service: Service) -> None:
    post(client)
    document = problem(post(client, title="B"), 422)
    assert [fault["field"] for fault in document["errors"]] == ["Idempotency-Key"]
    assert len(service.ids) == 1
    assert post(client).json == {"number": 1}


def test_a_key_still_in_progress_is_a_conflict(
    client: FlaskClient, service: Service, blocked: Callable[[], TestResponse]
) -> None:
    problem(post(client), 409)
    problem(post(client, title="B"), 422)
    first = blocked()
    assert post(client).data == first.data
    assert len(service.ids) == 1


def test_only_status_and_headers_of_a_long_answer_are_stored(
    client: FlaskClient, service: Service
) -> None:
    def long() -> Response:
        response = jsonify("x" * idempotency.LONGEST)
        response.status_code = 201
        response.headers["Location"] = "/things/1"
        return response

    service.effect = long
    assert len(post(client).data) > idempotency.LONGEST
    second = post(client)
    assert (second.status_code, second.headers["Location"]) == (201, "/things/1")
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.data == b""
    assert len(service.ids) == 1


def test_one_of_many_concurrent_requests_has_the_effect(
    client: FlaskClient, service: Service
) -> None:
    with ThreadPoolExecutor(4) as pool:
        clients = [client.application.test_client() for _ in range(16)]
        answers = list(pool.map(post, clients))
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.data for answer in answers if answer.status_code == 202}) == 1
    assert len(service.ids) == 1


def test_a_claim_whose_holder_died_is_taken_over_after_a_minute(
    client: FlaskClient, service: Service, blocked: Callable[[], TestResponse]
) -> None:
    age(service.database, "30 seconds")
    problem(post(client), 409)
    age(service.database, "31 seconds")
    second = post(client)
    assert second.json == {"number": 2}
    assert service.ids[0] == service.ids[1]
    assert blocked().json == {"number": "the first"}
    assert post(client).data == second.data


def test_a_late_failure_does_not_release_the_successors_claim(
    client: FlaskClient, service: Service, blocked: Callable[[], TestResponse]
) -> None:
    age(service.database, "61 seconds")
    second = post(client)
    with service.database.autocommit() as connection:
        claim = connection.execute(select(keys.c.claim)).scalar_one()
    blocked()
    with service.database.autocommit() as connection:
        assert connection.execute(select(keys.c.claim)).scalar_one() == claim
    assert post(client).data == second.data


@pytest.mark.parametrize("status", [400, 401, 403, 406, 408, 412, 413, 415, 428, 429, 500, 503])
def test_an_answer_that_does_not_depend_on_the_body_is_not_stored(
    client: FlaskClient, service: Service, status: int
) -> None:
    service.effect = lambda: Response("later", status)
    assert post(client).status_code == status
    service.effect = None
    assert post(client).json == {"number": 2}


@pytest.mark.parametrize(
    ("error", "status"),
    [(UnavailableError("away", cause="test"), 503), (RuntimeError("unexpected"), 500)],
)
def test_a_failure_gives_the_key_back(
    client: FlaskClient, service: Service, error: Exception, status: int
) -> None:
    def fail() -> Response:
        raise error

    service.effect = fail
    problem(post(client), status)
    assert kept(service.database) == 0
    service.effect = None
    assert post(client).json == {"number": 2}


def test_an_answer_below_500_is_stored(client: FlaskClient, service: Service) -> None:
    service.effect = lambda: Response("no", 404, content_type="text/plain")
    post(client)
    service.effect = None
    second = post(client)
    assert (second.status_code, second.data, second.content_type) == (404, b"no", "text/plain")
    assert len(service.ids) == 1


def test_a_refusal_below_500_is_stored_too(client: FlaskClient, service: Service) -> None:
    def refuse() -> Response:
        raise ConflictError("The stock is empty.")

    service.effect = refuse
    problem(post(client), 409)
    service.effect = None
    assert problem(post(client), 409)["detail"] == "The stock is empty."
    assert len(service.ids) == 1


def test_a_key_expires_after_a_day(client: FlaskClient, service: Service) -> None:
    post(client)
    age(service.database, "23:59:50")
    assert post(client).json == {"number": 1}
    age(service.database, "11 seconds")
    assert post(client, title="B").json == {"number": 2}
    assert post(client, title="B").json == {"number": 2}


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256, "a\tb", "\x7f"])
def test_a_key_is_1_to_255_visible_characters(
    client: FlaskClient, service: Service, key: str
) -> None:
    document = problem(post(client, headers={"Idempotency-Key": key}), 422)
    assert [fault["field"] for fault in document["errors"]] == ["Idempotency-Key"]
    assert service.ids == []


@pytest.mark.parametrize("key", ["x" * 255, "!~", '"8e03978e-40d5-43dd-bc93-6894a57f9324"'])
def test_a_key_of_visible_characters_is_accepted(client: FlaskClient, key: str) -> None:
    assert post(client, headers={"Idempotency-Key": key}).status_code == 202


def test_without_the_database_a_key_is_a_503_and_there_is_no_effect(
    service: Service, client: FlaskClient, database_settings: Callable[[str], DatabaseSettings]
) -> None:
    away = database_settings("gateway").model_copy(update={"name": "away"})
    service.database = Database(away, connections=1)
    problem(post(client), 503)
    assert service.ids == []
    assert post(client, headers={}).status_code == 202
