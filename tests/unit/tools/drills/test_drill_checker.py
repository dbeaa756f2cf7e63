"""Checks of drills: what clients saw against what is recorded."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from tools.drills.checks import answers, recovery, saga
from tools.drills.checks.checker import Checker, compare, once
from tools.drills.checks.findings import LOST, REPEATED, WRONG, Finding
from tools.drills.checks.recovery import Recovery
from tools.drills.checks.saga import PlacedOrder
from tools.drills.targets.platform import Row
from tools.drills.workload.history import Answer, Entry, History, Request, Verdict
from tools.drills.workload.request_generator import Fixtures

BILL = Request("bill", "drill-x-1", "POST", "/api/billing", key="drill-x-1", number=1)
GOODS = Fixtures("x", marker=1, plenty=2, scarce=3, customers=[1])
PROBLEM = "application/problem+json"
ORDER = PlacedOrder("5d0e", 7, "completed")
STOCK = {1: 10}


class Shown:
    """A source that shows rows by the service and a word in the SELECT (`orders__order_lines`)."""

    def __init__(self, **rows: list[Row]) -> None:
        self.shown = rows
        self.written: list[str] = []
        self.waiting: dict[str, int] = {}
        self.outlived: list[str] = []

    def rows(self, service: str, select: str) -> list[Row]:
        """The rows of the first word that is in `select`; of a count, none are to be counted."""
        for name, rows in self.shown.items():
            of, _, word = name.partition("__")
            if of == service and word in select:
                return rows
        return [{"unsent": 0, "undelivered": 0, "total": 0}] if "count(*)" in select else []

    def mails(self) -> Counter[str]:
        """What was written."""
        return Counter(self.written)

    def orphans(self) -> list[str]:
        """What has outlived its parent."""
        return self.outlived

    def depths(self) -> Mapping[str, int]:
        """What waits."""
        return self.waiting


def _entry(*ids: str) -> Entry:
    return Entry(BILL, frozenset(ids))


@pytest.mark.parametrize(
    ("ids", "there", "verdicts"),
    [
        (["a"], ["a"], []),
        (["a"], [], [LOST]),
        (["a"], ["a", "a"], [REPEATED]),
        (["a", "b"], ["a"], [REPEATED]),
        (["a"], ["b"], [WRONG]),
        ([], [], []),
        ([], ["a"], []),
        ([], ["a", "b"], [REPEATED]),
    ],
)
def test_a_promise_counts_once_and_an_unanswered_request_at_most_once(
    ids: Sequence[str], there: Sequence[str], verdicts: Sequence[str]
) -> None:
    found = compare([_entry(*ids)], {BILL.name: there})
    assert [finding.verdict for finding in found] == verdicts


def test_recorded_once_counts_promised_records() -> None:
    assert once([_entry("a")], {BILL.name: ["a"]}) == 1
    assert once([_entry()], {BILL.name: ["a"]}) == 0
    assert once([_entry("a")], {BILL.name: ["a", "a"]}) == 0


@pytest.mark.parametrize(
    ("status", "media_type", "body", "verdict"),
    [
        (202, "application/json", {"id": "a", "stored_in": "queue"}, Verdict.ACCEPTED),
        (202, "application/json", {}, Verdict.IMPROPER),
        (503, PROBLEM, {"status": 503, "cause": "circuit_open"}, Verdict.REFUSED),
        (503, PROBLEM, {"status": 503}, Verdict.IMPROPER),
        (503, "text/html", {"status": 503, "cause": "x"}, Verdict.IMPROPER),
        (502, PROBLEM, {"status": 502, "cause": "broken_answer"}, Verdict.REFUSED),
        (504, PROBLEM, {"status": 504, "cause": "timeout"}, Verdict.REFUSED),
        (429, PROBLEM, {"status": 429, "cause": "rate_limited"}, Verdict.REFUSED),
        (429, PROBLEM, {"status": 429}, Verdict.IMPROPER),
        (409, PROBLEM, {"status": 409}, Verdict.REFUSED),
        (422, PROBLEM, {"status": 422}, Verdict.IMPROPER),
        (500, PROBLEM, {"status": 500, "cause": "x"}, Verdict.IMPROPER),
    ],
)
def test_an_answer_is_a_promise_a_proper_refusal_or_improper(
    status: int, media_type: str, body: object, verdict: Verdict
) -> None:
    assert answers.read(BILL, status, media_type, json.dumps(body).encode())[0] is verdict


def test_an_ended_order_may_refuse_a_cancellation() -> None:
    cancel = Request("cancel", "", "PUT", "/api/orders/1/status")
    body = json.dumps({"status": 409}).encode()
    assert answers.read(cancel, 409, PROBLEM, body)[0] is Verdict.DONE


@pytest.mark.parametrize("kind", ["customer", "bill", "read"])
def test_no_other_request_without_a_key_is_a_conflict(kind: str) -> None:
    body = json.dumps({"status": 409}).encode()
    unkeyed = Request(kind, "drill-x-1", "POST", "/api/x")
    assert answers.read(unkeyed, 409, PROBLEM, body)[0] is Verdict.IMPROPER


def test_a_page_of_items_is_a_proper_answer() -> None:
    read = Request("read", "", "GET", "/api/movies")
    assert answers.read(read, 200, "application/json", b"[]")[0] is Verdict.DONE


def test_a_repeated_request_is_one_entry_with_all_its_ids() -> None:
    history = History()
    history.add(Answer(BILL, Verdict.UNANSWERED, 0, 1.0))
    history.add(Answer(BILL, Verdict.ACCEPTED, 202, 1.0, "a"))
    history.add(Answer(BILL, Verdict.ACCEPTED, 202, 1.0, "a"))
    history.add(Answer(Request("read", "", "GET", "/"), Verdict.DONE, 200, 1.0))
    assert history.entries() == [_entry("a")]
    assert history.accepted() == [_entry("a")]


def test_progress_and_verdict_count_a_repeated_request_as_accepted_once() -> None:
    history = History()
    other = Request("order", "drill-x-2", "POST", "/api/orders")
    for answer in (
        Answer(BILL, Verdict.ACCEPTED, 202, 1.0, "a"),
        Answer(BILL, Verdict.ACCEPTED, 202, 1.0, "a"),
        Answer(other, Verdict.REFUSED, 503, 1.0),
        Answer(other, Verdict.REFUSED, 503, 1.0),
        Answer(other, Verdict.ACCEPTED, 201, 1.0, "b"),
    ):
        history.add(answer)
    counts = history.counts()
    assert counts[Verdict.ACCEPTED] == len(history.accepted()) == 2
    assert counts[Verdict.REFUSED] == 2


def _good() -> Shown:
    source = Shown(
        orders__order_history=[
            {"order_pk": 7, "to_status": status}
            for status in ("pending", "processing", "completed")
        ],
        orders__order_lines=[{"product_id": 1, "quantity": 4}],
        inventory__reservation_lines=[{"product_id": 1, "quantity": 4}],
        inventory__products=[{"id": 1, "stock": 6}],
        billing__orders=[{"message_id": "5d0e", "valid": True}],
    )
    source.written = ["5d0e.created", "5d0e.completed", "of-another-order.created"]
    return source


def test_a_valid_order_has_no_errors() -> None:
    assert saga.findings(_good(), [ORDER], STOCK) == []


def test_an_order_that_is_not_settled_is_lost() -> None:
    [finding] = saga._open([ORDER._replace(status="processing")])
    assert finding == Finding(LOST, "5d0e", "the order 7 is still processing")


@pytest.mark.parametrize(
    ("word", "rows", "verdict"),
    [
        ("orders__order_history", [], WRONG),
        ("inventory__reservation_lines", [{"product_id": 1, "quantity": 8}], REPEATED),
        ("inventory__reservation_lines", [], LOST),
        ("inventory__products", [{"id": 1, "stock": 5}], LOST),
        ("billing__orders", [], LOST),
        ("billing__orders", [{"message_id": "5d0e", "valid": True}] * 2, REPEATED),
        ("billing__orders", [{"message_id": "5d0e", "valid": False}], REPEATED),
    ],
)
def test_errors_of_an_order_are_found(word: str, rows: list[Row], verdict: str) -> None:
    source = _good()
    source.shown[word] = rows
    assert [f.verdict for f in saga.findings(source, [ORDER], STOCK)] == [verdict]


@pytest.mark.parametrize(
    ("mails", "verdict"),
    [
        (["5d0e.created"], LOST),
        (["5d0e.created", "5d0e.completed", "5d0e.completed"], REPEATED),
        (["5d0e.created", "5d0e.completed", "5d0e.cancelled"], REPEATED),
    ],
)
def test_each_step_has_one_mail(mails: list[str], verdict: str) -> None:
    source = _good()
    source.written = mails
    assert [f.verdict for f in saga.findings(source, [ORDER], STOCK)] == [verdict]


@pytest.mark.parametrize(
    ("depth", "verdicts"), [(2, []), (3, [WRONG]), (1, [LOST]), (None, [LOST])]
)
def test_dead_letters_are_the_expected_ones(depth: int | None, verdicts: Sequence[str]) -> None:
    source = Shown()
    source.waiting = {} if depth is None else {"billing_queue.dlq": depth}
    checker = Checker(source, GOODS, {}, {"billing_queue.dlq": 2})
    assert [finding.verdict for finding in checker.findings([])] == verdicts


@pytest.mark.parametrize("what", ["unsent", "undelivered", "total"])
def test_messages_in_flight_are_found(what: str) -> None:
    source = Shown(gateway__count=[{"unsent": 0, "undelivered": 0, "total": 0, what: 1}])
    if what == "total":
        source = Shown(customers__total=[{"unsent": 0, "undelivered": 0, "total": 1}])
    found = Checker(source, GOODS, {}, {}).findings([])
    assert [finding.verdict for finding in found] == [LOST]


def test_an_order_that_was_rejected_although_there_was_enough_is_lost() -> None:
    source = Shown(orders__rejected=[{"uid": "u", "id": 8}])
    [finding] = Checker(source, GOODS, {}, {}).findings([])
    assert (finding.verdict, finding.words) == (
        LOST,
        "the order 8 was rejected although the stock sufficed",
    )


def test_a_missing_product_is_lost() -> None:
    source = _good()
    source.shown["inventory__products"] = []
    assert LOST in [finding.verdict for finding in saga.findings(source, [ORDER], STOCK)]


def test_a_worker_that_has_outlived_its_master_is_found() -> None:
    source = Shown()
    source.outlived = ["gateway (28102)"]
    [finding] = Checker(source, GOODS, {}, {}).findings([])
    assert finding.words == "gateway (28102) runs on without its parent"


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_recovery_ends_when_all_is_recorded_and_a_new_order_is_completed(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "LIMIT_SECONDS", 4)
    source, history = Shown(), History()
    told: list[int] = []
    history.add(Answer(BILL, Verdict.ACCEPTED, 202, 0.1, "a"))
    order = Request("order", "drill-x-2", "POST", "/api/orders", key="drill-x-2", number=2)
    probes = iter(
        [Answer(order, Verdict.REFUSED, 503, 0.1), Answer(order, Verdict.ACCEPTED, 201, 0.1, "8")]
    )

    def tell() -> None:
        told.append(len(told))
        if len(told) == 2:
            source.shown["billing__message_id"] = [{"name": BILL.name, "id": "a"}]
        if len(told) == 3:
            source.shown["orders__order_lines"] = [{"name": order.name, "id": "8"}]
            source.shown["orders__status"] = [{"uid": "u", "id": 8, "status": "processing"}]
        if len(told) == 4:
            source.shown["orders__status"] = [{"uid": "u", "id": 8, "status": status}]

    seconds = Recovery(Checker(source, GOODS, {}, {}), history, lambda: next(probes)).wait(tell)
    assert told[:4] == [0, 1, 2, 3]
    assert (seconds is None) is (status == "cancelled")
    assert (len(told) > 4) is (status == "cancelled")
    assert [entry.request for entry in history.entries()] == [BILL, order]
