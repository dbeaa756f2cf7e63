"""Candidates take turns, and each scenario compares what it should."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from tools.bench import growth, nginx
from tools.bench.__main__ import bench, chosen
from tools.bench.environment import UNCACHED as CACHE_OFF
from tools.bench.environment import UNLIMITED, overrides
from tools.bench.figures import Figure, Sample
from tools.bench.measure import Candidate, interleaved
from tools.bench.scenarios import (
    DEFAULT,
    LONG,
    SCENARIOS,
    billing,
    curve,
    drain,
    hanging,
    imports,
    memory,
    mix,
    pages,
    purge,
    reads,
    writes,
)
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


def read_figures(*names: str) -> list[Figure]:
    """Figures of `reads` in which a bare request costs 1 ms, and each process 2.5 ms a read."""
    rates = {reads.GATEWAY: 800, reads.NAIVE: 201, reads.CHAIN: 100, reads.PLAIN: 2000}
    rates |= {reads.DIRECT: 1600, reads.NGINX: 1200, reads.CACHED: 1200}
    costs = dict.fromkeys(reads.CPU_AIMS, 2.5) | {reads.PLAIN: 1.0}
    return [
        Figure(name, "", [Sample(rates[name], units=1000)], Usage(costs, {}, 0.0)) for name in names
    ]


UNCACHED = (reads.GATEWAY, reads.NAIVE, reads.CHAIN, reads.PLAIN, reads.DIRECT, reads.NGINX)


def test_reads_are_compared_with_the_naive_gateway_and_the_naive_chain() -> None:
    found = {r.text: r.met for r in reads.ratios(read_figures(*UNCACHED, reads.CACHED))}
    assert found["gateway : naive gateway"] is False
    assert found["gateway : naive chain"] is True
    assert found["cached : naive chain"] is True


def test_the_cpu_time_of_a_read_is_compared_with_a_bare_request() -> None:
    found = reads.ratios(read_figures(*UNCACHED))
    verdicts = [(r.text.split(" ")[2], r.value, r.met) for r in found if r.text.startswith("CPU")]
    assert verdicts == [
        ("gateway", 2.5, True),
        ("inventory-api", 2.5, False),
        ("PM2", 2.5, False),
    ]


def test_a_gateway_without_a_cache_has_no_ratio_of_cached_reads() -> None:
    assert not [r for r in reads.ratios(read_figures(*UNCACHED)) if "cached" in r.text]


def test_orders_are_compared_with_bare_requests_so_that_runs_can_be_compared() -> None:
    figures = [figure(name, 100, 1) for name in (writes.MOVIES, writes.CUSTOMERS)]
    figures.append(Figure(writes.ORDERS, "", [Sample(30, done=24)], Usage({}, {}, 0.0)))
    last = writes.ratios([*figures, figure(reads.PLAIN, 6000, 1)])[-1]
    assert (last.value, last.met) == (4.0, None)


@pytest.mark.parametrize(("rate", "met"), [(20_000, True), (10_000, False)])
def test_an_import_is_judged_by_the_seconds_of_its_aim(rate: float, met: bool) -> None:
    figures = [figure(imports.IMPORT, rate, 0)]
    [found] = imports.ratios(figures, 100_000)
    assert (found.value, found.met) == (100_000 / rate, met)
    [quick] = imports.ratios(figures, 10_000)
    assert (quick.value, quick.met) == (10_000 / rate, None)


def test_the_mix_has_each_kind_by_its_share_and_is_the_same_in_every_turn() -> None:
    make = mix.Requests("token", "{}")
    kinds = Counter(make(number).kind for number in range(10_000))
    for kind, share in mix.SHARES.items():
        assert kinds[kind] == pytest.approx(share * 100, rel=0.2)
    assert [make(n) for n in range(100)] == [make(n) for n in range(100)]


@pytest.mark.parametrize(
    ("sample", "ends"),
    [
        (Sample(100, p99=50.0, units=400), False),
        (Sample(100, p99=1500.0, units=400), True),
        (Sample(90, p99=50.0, failed=40, units=360), True),
        (Sample(0, failed=400), True),
    ],
)
def test_a_curve_ends_where_a_gateway_is_saturated(sample: Sample, ends: bool) -> None:
    assert curve.saturated(Figure("", "", [sample], Usage({}, {}, 0.0))) is ends


def test_a_curve_has_a_line_for_the_median_and_one_for_the_99th_percentile() -> None:
    lines = {"gateway": {50: figure("", 50, 4), 100: figure("", 100, 6)}}
    found = {series.name: series.points for series in curve.plot(lines).series}
    assert found == {key: [(50, 4), (100, 6)] for key in ("gateway, median", "gateway, p99")}


def test_an_imported_file_has_a_head_and_an_order_a_line() -> None:
    head, *orders = imports.lines(3)
    assert head.split(",")[:2] == ["order_id", "customer_id"]
    assert len({line.split(",")[0] for line in orders}) == 3


@pytest.mark.parametrize(("total", "met"), [(1_100_000_000, True), (1_600_000_000, False)])
def test_the_memory_of_the_whole_stack_has_an_aim(total: int, met: bool) -> None:
    assert memory.ratio(total).met is met


@pytest.mark.parametrize(("rate", "met"), [(800, True), (790, False)])
def test_reads_beside_a_service_that_hangs_are_compared_with_reads_alone(
    rate: float, met: bool
) -> None:
    rates = {hanging.ALONE: 1000, hanging.WELL: 500, hanging.HANGING: rate}
    first, _well = hanging.ratios([figure(name, rate, 1) for name, rate in rates.items()])
    assert (first.value, first.met) == (rate / 1000, met)


def test_bills_are_compared_at_each_number_of_clients() -> None:
    figures = [
        figure("gateway, 1 client", 40, 10),
        figure("naive gateway, 1 client", 10, 9),
        figure("gateway, 16 clients", 900, 20),
        figure("naive gateway, 16 clients", 100, 40),
        figure(billing.LIMIT, 9000, 0),
    ]
    found = billing.ratios(figures, (1, 16))
    assert [r.met for r in found] == [True, False, True, True, None]
    assert found[-1].value == pytest.approx(0.1)


def test_one_consumer_is_compared_with_the_one_by_one_consumer() -> None:
    rates = {drain.ONE: 1600, drain.TWO: 3000, drain.SINGLY: 100}
    first, *_ = drain.ratios([figure(name, rate, 0) for name, rate in rates.items()])
    assert (first.value, first.met) == (16, True)


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
    wanted = UNLIMITED | CACHE_OFF
    assert overrides() == {n: v for n, v in wanted.items() if n in known}


def test_rows_are_chosen_by_name() -> None:
    asked = bench.make_context("bench", ["reads", "memory", "--quick"]).params
    assert (asked["rows"], asked["quick"]) == (("reads", "memory"), True)
    assert bench.make_context("bench", []).params["rows"] == ()
    with pytest.raises(click.UsageError, match=r"There is no row read\. Did you mean reads\?"):
        bench.make_context("bench", ["read"])
    assert list(SCENARIOS)[-1] == list(DEFAULT)[-1] == "memory"


def test_long_rows_run_only_when_they_are_named() -> None:
    assert chosen([]) == list(DEFAULT)
    assert sorted(chosen(["reads", "growth-bills", "purge"])) == ["growth-bills", "purge", "reads"]
    assert not DEFAULT.keys() & LONG.keys()


@pytest.mark.parametrize(("slow", "met"), [(2, True), (2.1, False)])
def test_what_grows_may_take_twice_as_long_over_the_most_rows(slow: float, met: bool) -> None:
    sizes = (1_000, 1_000_000, 10_000_000)
    figures = [figure(growth.name("page", n), 1, slow if n == max(sizes) else 1) for n in sizes]
    [found] = growth.times(["page"], sizes, figures)
    assert (found.text, found.met) == ("page, time at 10,000,000 : 1,000", met)
    [series] = growth.plot("file", "Pages", "movies", ["page"], sizes, figures).series
    assert series.points == [(1_000, 1), (1_000_000, 1), (10_000_000, slow)]


@pytest.mark.parametrize(("rate", "met"), [(50, True), (49, False)])
def test_a_rate_may_fall_to_half_over_the_most_rows(rate: float, met: bool) -> None:
    figures = [figure(growth.name("relaying", n), rate if n else 100, 0) for n in (0, 1_000_000)]
    assert growth.rates("relaying", (0, 1_000_000), figures).met is met
