"""Each exception has its problem document."""

import json
import logging
from typing import Any

import psycopg2
import pytest
from flask import Blueprint, Flask, request
from flask.testing import FlaskClient
from psycopg2.errors import LockNotAvailable, QueryCanceled
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from chassis.errors import (
    BrokerUnavailableError,
    ConflictError,
    FieldError,
    InvalidError,
    NotFoundError,
    UnavailableError,
    UpstreamError,
    UpstreamTimeoutError,
)
from chassis.http import app as web

LOST = psycopg2.OperationalError("server closed the connection\nunexpectedly")


def failing(error: Exception | None = None) -> Flask:
    """An application whose one route raises `error`."""
    routes = Blueprint("failing", __name__)

    @routes.get("/fail")
    def fail() -> str:
        if error:
            raise error
        return "fine"

    @routes.post("/read")
    def read() -> str:
        return str(len(request.get_data()))

    return web.create_app("test", ready=[], routes=[routes])


def problem(client: FlaskClient, path: str, status: int, method: str = "GET") -> dict[str, Any]:
    """The problem document that a request is answered with."""
    response = client.open(path, method=method)
    assert (response.status_code, response.content_type) == (status, "application/problem+json")
    document: dict[str, Any] = json.loads(response.data)
    assert document["status"] == status
    assert document["type"] == "about:blank"
    assert document["title"]
    return document


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidError([FieldError("title", "is required")]), 422),
        (NotFoundError("There is no movie with the id 7."), 404),
        (ConflictError("Still in progress."), 409),
        (UnavailableError("inventory can't be reached.", cause="connection_refused"), 503),
        (BrokerUnavailableError("RabbitMQ is away."), 503),
        (UpstreamTimeoutError("inventory has not answered in time."), 504),
        (UpstreamError("inventory has not given a whole answer."), 502),
    ],
)
def test_each_error_of_the_code_has_its_status_and_detail(error: Exception, status: int) -> None:
    document = problem(failing(error).test_client(), "/fail", status)
    assert document["detail"] == str(error)


def test_an_invalid_input_names_each_field() -> None:
    faults = [FieldError("title", "is required"), FieldError("", "is odd")]
    document = problem(failing(InvalidError(faults)).test_client(), "/fail", 422)
    assert document["errors"] == [
        {"field": "title", "detail": "is required"},
        {"field": "", "detail": "is odd"},
    ]


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("SELECT 1", {}, LOST),
        InterfaceError("SELECT 1", {}, psycopg2.InterfaceError("connection already closed")),
        PoolTimeoutError("QueuePool limit of size 16 overflow 0 reached"),
        DBAPIError("SELECT 1", {}, psycopg2.DatabaseError("lost"), connection_invalidated=True),
    ],
)
def test_a_database_that_is_unavailable_is_a_503_to_be_tried_again(error: Exception) -> None:
    response = failing(error).test_client().get("/fail")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    document = json.loads(response.data)
    assert document["cause"] == "database_unavailable"
    assert "SELECT" not in response.text


@pytest.mark.parametrize("cause", [QueryCanceled, LockNotAvailable])
def test_a_stopped_statement_is_distinguished_from_an_unavailable_database(
    cause: type[Exception],
) -> None:
    response = failing(OperationalError("SELECT 1", {}, cause())).test_client().get("/fail")
    document = json.loads(response.data)
    assert (response.status_code, document["cause"]) == (503, "statement_timeout")
    assert "10 s" in document["detail"]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("the secret inside"),
        KeyError("secret"),
        IntegrityError("INSERT secret", {}, psycopg2.IntegrityError("secret")),
    ],
)
def test_an_unexpected_error_is_a_500_with_details_only_in_the_log(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        document = problem(failing(error).test_client(), "/fail", 500)
    assert "secret" not in json.dumps(document)
    [record] = [record for record in caplog.records if record.exc_info]
    assert record.exc_info and record.exc_info[1] is error


def test_an_unknown_path_is_a_404() -> None:
    document = problem(failing().test_client(), "/nowhere", 404)
    assert document["title"] == "Not Found"
    assert document["detail"].startswith("There is nothing at this path")


def test_a_method_that_does_not_exist_is_a_405_that_names_those_that_do() -> None:
    client = failing().test_client()
    document = problem(client, "/fail", 405, "POST")
    assert document["detail"].endswith("it takes GET, HEAD, OPTIONS.")
    assert set(client.post("/fail").headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_a_body_over_one_mebibyte_is_a_413() -> None:
    client = failing().test_client()
    assert client.post("/read", data=b"x" * 1024 * 1024).text == str(1024 * 1024)
    response = client.post("/read", data=b"x" * (1024 * 1024 + 1))
    assert (response.status_code, response.content_type) == (413, "application/problem+json")
    assert "The body is longer than 1,048,576 bytes (1,024 KiB)." in response.text


def test_a_problem_names_its_request_as_the_header_does() -> None:
    response = failing().test_client().get("/nowhere", headers={"X-Request-ID": "req-7"})
    assert json.loads(response.data)["request_id"] == "req-7"
    assert response.headers["X-Request-ID"] == "req-7"
