"""Keyset pages and their Link header."""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask, Response

from chassis.errors import InvalidError
from chassis.http import request as parsing
from chassis.http.paging import page
from chassis.schema.paging import Page

APP = Flask("test")


def rows(*keys: int) -> Sequence[Mapping[str, object]]:
    """Rows as a query would find them."""
    return cast("Sequence[Mapping[str, object]]", [{"id": key} for key in keys])


def answered(target: str, found: Sequence[Mapping[str, object]], limit: int) -> Response:
    """The page that a request for `target` gets."""
    with APP.test_request_context(target):
        return page(found, limit)


def following(response: Response) -> dict[str, Any]:
    """The parameters of the next page."""
    link = response.headers["Link"]
    assert link.startswith("<") and link.endswith('>; rel="next"')
    return parse_qs(urlsplit(link[1:].partition(">")[0]).query, strict_parsing=True)


def test_a_page_shows_no_more_than_its_limit() -> None:
    assert answered("/things", rows(1, 2, 3), 2).json == [{"id": 1}, {"id": 2}]


def test_a_page_links_to_the_rows_after_its_last_one() -> None:
    response = answered("/things", rows(1, 5, 9), 2)
    assert response.headers["Link"] == '</things?limit=2&after=5>; rel="next"'


@pytest.mark.parametrize("found", [(), (1,), (1, 2)])
def test_the_last_page_links_nowhere(found: tuple[int, ...]) -> None:
    assert "Link" not in answered("/things", rows(*found), 2).headers


def test_the_link_keeps_the_other_parameters_and_replaces_its_own() -> None:
    response = answered("/things/?after=1&limit=2&title=%C3%A9%20%26%25%3E", rows(2, 3, 4), 2)
    assert response.headers["Link"].startswith("</things/?")
    assert following(response) == {"title": ["é &%>"], "limit": ["2"], "after": ["3"]}


def test_the_key_may_be_another_field() -> None:
    found = cast("Sequence[Mapping[str, object]]", [{"name": "a"}, {"name": "b"}])
    with APP.test_request_context("/things"):
        assert "after=a" in page(found, 1, key="name").headers["Link"]


def test_a_page_has_a_hundred_rows_by_default() -> None:
    with APP.test_request_context("/things"):
        asked = parsing.query(Page)
    assert (asked.limit, asked.after) == (100, None)


@pytest.mark.parametrize("limit", [1, 1000])
def test_a_limit_is_from_1_to_1000(limit: int) -> None:
    with APP.test_request_context(f"/things?limit={limit}"):
        assert parsing.query(Page).limit == limit


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "abc", "1.5", "", "9" * 30, "\uff11"])
def test_any_other_limit_is_refused(limit: str) -> None:
    target = f"/things?limit={limit}"
    with APP.test_request_context(target), pytest.raises(InvalidError, match="limit"):
        parsing.query(Page)
