"""Candidates take turns, and each scenario compares what it should."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from tools.bench import nginx
from tools.bench.__main__ import bench
from tools.bench.environment import UNLIMITED, overrides
from tools.bench.figures import Figure, Sample
from tools.bench.measure import Candidate, interleaved
from tools.bench.scenarios import SCENARIOS, billing, drain, hanging, pages, purge, reads
from tools.bench.usage import Usage
from tools.stack import variables
from tools.stack.layout import CHECKOUT
from tools.stack.stack import Stack


def figure(candidate: str, rate: float, p: float) -> Figure:
    """A figure of one sample, with the same time throughout."""
    return Figure(candidate, "", [Sample(rate, p, p, p)], Usage({}, {}, 0.0))


def test_rivals_take_turns_in_each_round(tmp_path: Path) -> None:
    order: list[str] = []

    def candidate(name: str) -> Candidate:
        def run() -> Sample:
            order.append(name)
            return Sample(float(len(order)))

        return Candidate(name, "", run)

    figures = interleaved(Stack.private(tmp_path), [candidate("A"), candidate("B")], rounds=3)
    assert order == ["A", "B"] * 3
    assert [[s.rate for s in f.samples] for f in figures] == [[1, 3, 5], [2, 4, 6]]


def test_the_context_of_a_turn_surrounds_each_one(tmp_path: Path) -> None:
    seen: list[str] = []

    @contextmanager
    def around() -> Iterator[None]:
        seen.append("before")
        yield
        seen.append("after")

    def run() -> Sample:
        seen.append("turn")
        return Sample(1)

    interleaved(Stack.private(tmp_path), [Candidate("A", "", run, around)], rounds=2)
    assert seen == ["before", "turn", "after"] * 2


def test_reads_are_compared_with_the_naive_gateway_and_with_flask_alone() -> None:
    rates = {reads.GATEWAY: 800, reads.NAIVE: 100, reads.PLAIN: 2000}
    rates |= {reads.DIRECT: 1600, reads.NGINX: 1200}
    found = reads.ratios([figure(name, rate, 1) for name, rate in rates.items()])
    assert [(r.value, r.met) for r in found[:2]] == [(8.0, True), (0.4, False)]


@pytest.mark.parametrize(("rate", "met"), [(800, True), (790, False)])
def test_reads_beside_a_service_that_hangs_are_compared_with_reads_alone(
    rate: float, met: bool
) -> None:
    rates = {hanging.ALONE: 1000, hanging.WELL: 500, hanging.HANGING: rate}
    first, _well = hanging.ratios([figure(name, rate, 1) for name, rate in rates.items()])
    assert (first.value, first.met) == (rate / 1000, met)


def test_bills_are_compared_at_each_number_of_clients() -> None:
    figures = [
        figure("gateway, 1 client", 80, 10),
        figure("naive gateway, 1 client", 10, 9),
        figure("gateway, 16 clients", 900, 20),
        figure("naive gateway, 16 clients", 100, 40),
        figure(billing.LIMIT, 9000, 0),
    ]
    found = billing.ratios(figures, (1, 16))
    assert [r.met for r in found] == [True, False, True, True, None]
    assert found[-1].value == pytest.approx(0.1)


def test_one_consumer_is_compared_with_the_one_by_one_consumer() -> None:
    rates = {drain.ONE: 2500, drain.TWO: 3000, drain.SINGLY: 100}
    first, *_ = drain.ratios([figure(name, rate, 0) for name, rate in rates.items()])
    assert (first.value, first.met) == (25, True)


def test_the_relay_beside_the_purge_is_compared_with_the_relay_alone() -> None:
    rates = {purge.ALONE: 1000, purge.BESIDE: 600, purge.PURGE: 1700}
    beside, _purge, needed = purge.ratios([figure(name, rate, 0) for name, rate in rates.items()])
    assert (beside.value, beside.met) == (0.6, True)
    assert (needed.value, needed.met) == (100, True)


def test_pages_are_compared_by_their_time_over_the_most_and_the_fewest_movies() -> None:
    sizes = (1_000, 1_000_000)
    figures = [
        figure(f"{kind}, {n:,}", 1, 3 if n > 1_000 else 1) for kind in pages.KINDS for n in sizes
    ]
    found = pages.ratios(figures, sizes)
    assert [(r.value, r.met) for r in found] == [(3, False)] * 4


@pytest.mark.parametrize("movies", [1_000, 1_000_000])
def test_a_deep_page_is_a_full_one(movies: int) -> None:
    after = int(pages.path(pages.DEEP, movies).partition("after=")[2])
    assert movies * 0.7 < after <= movies - 100


def test_nginx_keeps_its_connections_and_its_files_to_itself(tmp_path: Path) -> None:
    text = nginx.configuration(tmp_path, 18080, "http://127.0.0.1:19000")
    assert "server 127.0.0.1:19000; keepalive 64;" in text
    assert "listen 127.0.0.1:18080;" in text
    assert text.count(str(tmp_path)) == 8


def test_limits_that_the_platform_knows_are_off_and_no_unknown_variable_is_set() -> None:
    known = variables.parse(CHECKOUT / ".env.example")
    assert overrides() == {n: v for n, v in UNLIMITED.items() if n in known}


def test_rows_are_chosen_by_name() -> None:
    asked = bench.make_context("bench", ["reads", "memory", "--quick"]).params
    assert (asked["rows"], asked["quick"]) == (("reads", "memory"), True)
    assert bench.make_context("bench", []).params["rows"] == ()
    with pytest.raises(click.UsageError, match=r"There is no row read\. Did you mean reads\?"):
        bench.make_context("bench", ["read"])
    assert list(SCENARIOS)[-1] == "memory"
