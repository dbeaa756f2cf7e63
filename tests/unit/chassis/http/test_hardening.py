"""Headers that every process adds to what it answers."""

from functools import partial

import pytest
from flask import Blueprint, Response

from chassis.http import app as web
from chassis.http.security_headers import PAGE_POLICY

OWN = "default-src 'self'"


def routes() -> Blueprint:
    """A page, a page with a policy of its own, and text."""
    blueprint = Blueprint("pages", __name__)
    answers = {
        "page": Response("<p>"),
        "own": Response("<p>", headers={"Content-Security-Policy": OWN}),
        "text": Response("t", mimetype="text/plain"),
    }
    for name, answer in answers.items():
        blueprint.add_url_rule(f"/{name}", name, partial(lambda said: said, answer))
    return blueprint


@pytest.mark.parametrize(
    ("path", "policies"),
    [
        ("/page", [PAGE_POLICY]),
        ("/own", [OWN]),
        ("/text", []),
        ("/live", []),
        ("/metrics", []),
        ("/nowhere", []),
    ],
)
def test_pages_have_a_policy_and_no_answer_is_sniffed(path: str, policies: list[str]) -> None:
    answer = web.create_app("pages", ready=[], routes=[routes()]).test_client().get(path)
    assert answer.headers.getlist("Content-Security-Policy") == policies
    assert answer.headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert answer.headers.getlist("Server") == ["crud-master"]


def test_a_page_may_load_nothing_from_elsewhere() -> None:
    assert PAGE_POLICY.startswith("default-src 'none'; ")
    assert "unsafe" not in PAGE_POLICY and "http" not in PAGE_POLICY
