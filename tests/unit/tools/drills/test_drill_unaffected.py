"""Requests that have to be answered as usual while a fault lasts."""

import time
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from tools.drills import catalogue
from tools.drills.checks.findings import SLOW
from tools.drills.experiment import Experiment
from tools.drills.unaffected import SOON_SECONDS, Unaffected
from tools.drills.workload import fixtures
from tools.drills.workload.history import Answer, Request, Verdict
from tools.drills.workload.load import Load
from tools.drills.workload.request_generator import READ

READS = Unaffected((READ,), 0.6)
BILL = Request("bill", "drill-x-1", "POST", "/api/billing")


def _reads(verdict: Verdict, seconds: float, count: int) -> list[Answer]:
    read = Request(READ, "", "GET", "/api/orders?limit=5")
    return [Answer(read, verdict, 0, seconds)] * count


def test_reads_are_unaffected_if_enough_are_answered_soon() -> None:
    assert READS.findings([]) == []
    enough = _reads(Verdict.DONE, SOON_SECONDS, 6)
    assert READS.findings([*enough, *_reads(Verdict.REFUSED, 0.1, 4)]) == []


def test_other_kinds_of_requests_do_not_count() -> None:
    unanswered = Answer(BILL, Verdict.UNANSWERED, 0, 30.0)
    assert READS.findings([unanswered]) == []
    assert catalogue.NOTHING.findings([unanswered]) == []


@pytest.mark.parametrize(
    ("verdict", "seconds"),
    [(Verdict.DONE, 10.0), (Verdict.REFUSED, 0.1), (Verdict.UNANSWERED, 30.0)],
)
def test_a_finding_says_that_too_few_reads_are_answered_soon(
    verdict: Verdict, seconds: float
) -> None:
    [finding] = READS.findings([*_reads(Verdict.DONE, 0.1, 5), *_reads(verdict, seconds, 5)])
    assert finding.verdict == SLOW
    assert finding.words == (
        "of 10 requests (read) 5 were answered with success within 3 s; required: 60%"
    )


def test_requests_that_are_accepted_soon_are_unaffected() -> None:
    all_kinds = Unaffected(("bill", READ), 1)
    assert all_kinds.findings([Answer(BILL, Verdict.ACCEPTED, 202, 0.1)]) == []
    [finding] = all_kinds.findings([Answer(BILL, Verdict.ACCEPTED, 202, 15.0)])
    assert finding.of == "bill and read"


def test_requests_sent_before_or_after_the_fault_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = SimpleNamespace(customers=[1])
    monkeypatch.setattr(fixtures, "make", Mock(return_value=(own, {})))
    [drill] = catalogue.chosen(["pm2-frozen"])
    platform = Mock(url="http://127.0.0.1:1", token="token")
    one = Experiment(drill, platform, Load(30, 20, 7), {}, lambda _words: None)
    one.result.began = time.monotonic()
    one.result.band = (5.0, 10.0)
    for sent, seconds in ((4.0, 7.0), (5.0, 0.1), (9.0, 20.0), (10.0, 0.1)):
        at = one.result.began + sent + seconds
        one.history.add(Answer(BILL, Verdict.ACCEPTED, 202, seconds, at=at))
    assert [answer.seconds for answer in one._during()] == [0.1, 20.0]
