"""Answers that are complete when they are made."""

import pytest
from flask import Response
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from chassis.http.response import CheckedHeaders, CompleteResponse, put


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status", [200, 201, 204, 304, 404])
@pytest.mark.parametrize("body", [b"body", "body", b"", [b"bo", "dy"]])
def test_a_known_body_is_a_list_and_what_werkzeug_would_send(
    method: str, status: int, body: bytes | str | list[bytes]
) -> None:
    environ = EnvironBuilder(method=method).get_environ()
    ours, plain = CompleteResponse(body, status), Response(body, status)
    sent = ours.get_app_iter(environ)
    assert isinstance(sent, list)
    assert b"".join(sent) == b"".join(plain.get_app_iter(environ))


def test_a_stream_stays_one_and_is_closed() -> None:
    closed: list[bool] = []
    environ = EnvironBuilder().get_environ()
    response = CompleteResponse(iter([b"bo", b"dy"]))
    response.call_on_close(lambda: closed.append(True))
    sent = response.get_app_iter(environ)
    assert b"".join(sent) == b"body" and not closed
    sent.close()  # type: ignore[attr-defined]
    assert closed


def test_an_answer_with_something_to_close_is_no_list() -> None:
    closed: list[bool] = []
    response = CompleteResponse(b"body")
    response.call_on_close(lambda: closed.append(True))
    response.get_app_iter(EnvironBuilder().get_environ()).close()  # type: ignore[attr-defined]
    assert closed


def test_fields_are_replaced_whatever_their_case_and_number() -> None:
    headers = Headers([("server", "a"), ("Link", "1"), ("SERVER", "b"), ("Link", "2")])
    put(headers, {"server", "new"}, [("Server", "ours"), ("New", "one")])
    assert list(headers) == [("Link", "1"), ("Link", "2"), ("Server", "ours"), ("New", "one")]


def test_checked_headers_are_copies() -> None:
    fields = [("A", "1")]
    headers = CheckedHeaders(fields)
    copy = headers.copy()
    copy["A"] = "2"
    headers.add("B", "1")
    assert (fields, list(headers), list(copy)) == (
        [("A", "1")],
        [("A", "1"), ("B", "1")],
        [("A", "2")],
    )
