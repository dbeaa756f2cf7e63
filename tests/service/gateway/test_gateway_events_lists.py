"""Lists of the gateway's events: filters and pages."""

from datetime import datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from chassis.storage.database import Database
from tests.support.events_api import faults, listed, posted, read, shown


def test_a_list_is_narrowed_by_names_time_and_delivery(
    gateway: FlaskClient, gateway_db: Database
) -> None:
    paths = ["shop/order/create", "shop/order/delete", "shop/cart/create", "crm/order/create"]
    uids = [posted(gateway, f"/api/event/{path}") for path in paths]
    with gateway_db.autocommit() as connection:
        statement = text("UPDATE outbox SET sent_at = now() WHERE message_id = :id")
        connection.execute(statement, {"id": uids[0]})
    since = datetime.fromisoformat(
        shown(gateway, uids[2])["event_timestamp"].rstrip("Z") + "+00:00"
    )
    east = since.astimezone().isoformat()

    def found(**query: object) -> list[str]:
        return [event["event_uid"] for event in listed(gateway, **query)]

    assert found() == uids
    assert found(solution="shop") == uids[:3]
    assert found(model="order") == [uids[0], uids[1], uids[3]]
    assert found(solution="shop", model="order", action="create") == [uids[0]]
    assert found(since=since.isoformat()) == found(since=east) == uids[2:]
    assert found(since=(since + timedelta(microseconds=1)).isoformat()) == uids[3:]
    assert found(delivered="true") == [uids[0]]
    assert found(delivered="false", solution="shop") == uids[1:3]
    assert found(solution="nobody") == []


def test_pages_follow_each_other_by_their_links(gateway: FlaskClient) -> None:
    uids = [posted(gateway) for _ in range(7)]
    path: str | None = "/api/events/?solution=ecommerce&limit=3"
    sizes, seen = [], []
    while path:
        answer = gateway.get(path)
        page = read(answer.data)
        sizes.append(len(page))
        seen += [event["event_uid"] for event in page]
        link = answer.headers.get("Link")
        path = link and link.partition(">")[0].removeprefix("<")
    assert (sizes, seen) == ([3, 3, 1], uids)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("solution=a.b", "solution"),
        ("model=", "model"),
        ("since=yesterday", "since"),
        ("since=2024-09-30", "since"),
        ("since=2024-09-30T18:07:44", "since"),
        ("since=2024-09-30T18:07:44+02:00", "since"),
        ("since=2024-02-30T18:07:44Z", "since"),
        ("since=0001-01-01T00:00:00%2B01:00", "since"),
        ("since=1727719664", "since"),
        ("delivered=1", "delivered"),
        ("delivered=True", "delivered"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("after=0", "after"),
        ("after=9000000000000000000", "after"),
        ("surprise=1", "surprise"),
        ("model=a&model=b", "model"),
    ],
)
def test_a_wrong_query_is_refused_by_the_parameter(
    gateway: FlaskClient, query: str, field: str
) -> None:
    assert list(faults(gateway.get(f"/api/event?{query}"))) == [field]


@pytest.mark.parametrize("since", ["2024-09-30T18:07:44.1234567890+23:59", "0001-01-02t00:00:00z"])
def test_any_time_with_an_offset_is_understood(gateway: FlaskClient, since: str) -> None:
    uid = posted(gateway)
    assert [event["event_uid"] for event in listed(gateway, since=since)] == [uid]
