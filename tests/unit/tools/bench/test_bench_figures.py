"""Medians of what was measured, and ratios of them."""

import pytest

from tools.bench.figures import Figure, Sample, at_least, at_most, ratio
from tools.bench.usage import GENERATOR, Usage, added

NOTHING = Usage({}, {}, 0.0)


def figure(*samples: Sample) -> Figure:
    """A figure of these samples."""
    return Figure("gateway", "what was run", samples, NOTHING)


def test_a_figure_is_the_median_of_its_turns() -> None:
    measured = figure(Sample(10, p99=5), Sample(1000, p99=7), Sample(20, p99=6))
    assert (measured.rate, measured.median("p99")) == (20, 6)


def test_an_unmeasured_figure_has_no_median() -> None:
    assert figure(Sample(10)).median("p50") is None
    assert figure().median("rate") is None


def test_failed_requests_of_all_turns_are_added_up() -> None:
    assert figure(Sample(10, failed=2), Sample(10), Sample(10, failed=1)).failed == 3


@pytest.mark.parametrize(("over", "met"), [(79.9, False), (80, True), (800, True), (None, False)])
def test_a_ratio_with_a_lower_limit(over: float | None, met: bool) -> None:
    assert at_least(8, "gateway : naive", over, 10).met is met


@pytest.mark.parametrize(("over", "met"), [(20.1, False), (20, True), (5, True), (None, False)])
def test_a_ratio_with_an_upper_limit(over: float | None, met: bool) -> None:
    assert at_most(2, "1,000,000 : 1,000", over, 10).met is met


@pytest.mark.parametrize("under", [None, 0])
def test_a_ratio_to_nothing_meets_no_aim(under: float | None) -> None:
    for found in (at_least(8, "", 10, under), at_most(2, "", 10, under)):
        assert (found.value, found.met) == (0, False)


def test_a_ratio_without_an_aim_is_neither_met_nor_not() -> None:
    assert ratio("gateway : nginx", 10, 40) == ("gateway : nginx", 0.25, "", None, None)


def test_cpu_time_is_that_of_all_turns_a_unit_without_the_load_generator() -> None:
    usage = Usage({"gateway": 3.0, "PM2": 1.0, GENERATOR: 9.0}, {}, 0.0)
    measured = Figure("gateway", "", [Sample(1, units=1500), Sample(1, units=500)], usage)
    assert (measured.cpu("gateway"), measured.cpu()) == (1.5, 2.0)
    assert measured.cpu("nginx") is None


def test_without_units_there_is_no_cpu_time_a_unit() -> None:
    assert Figure("limit", "", [Sample(1)], Usage({"a": 1.0}, {}, 0.0)).cpu() is None


def test_usages_are_added_up_with_the_largest_memory() -> None:
    one = Usage({"gateway": 1.5}, {"gateway": 100}, 0.5)
    other = Usage({"gateway": 0.5, "nginx": 1.0}, {"gateway": 90, "nginx": 4}, 0.1)
    whole = added([one, other])
    assert whole.cpu == {"gateway": 2.0, "nginx": 1.0}
    assert whole.memory == {"gateway": 100, "nginx": 4}
    assert whole.others == pytest.approx(0.3)
