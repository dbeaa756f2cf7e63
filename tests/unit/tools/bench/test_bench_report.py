"""What the benchmark says: tables, Markdown and JSON."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.bench_examples import FAST, ROW, RUN, SLOW, USAGE
from tools.bench import document, machine, report
from tools.bench.figures import Figure, Result, Sample
from tools.bench.usage import Usage

COUNTED = Result(
    "reads",
    "GET",
    [Figure("gateway", "wrk", [Sample(1000, units=2000)], USAGE)],
    unit="read",
    bare=0.25,
)


def test_a_table_has_a_line_for_each_rival_and_compares_it_with_the_first() -> None:
    lines = report.cells(ROW)
    assert [line[0] for line in lines] == ["rival", "gateway", "naive gateway"]
    assert [line[-1] for line in lines] == ["of the first", "1.00", "0.08"]


def test_columns_without_figures_are_omitted() -> None:
    head = report.cells(replace(ROW, figures=[FAST]))[0]
    assert "done per s" not in head
    assert "failed" not in head
    assert "p99 ms" in head


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (12345.6, "12,346"), (99.94, "99.9"), (0.123, "0.123")]
)
def test_figures_have_three_digits(value: float | None, text: str) -> None:
    assert report.number(value) == text


def test_a_text_says_what_was_run_what_it_used_and_whether_the_aims_are_met() -> None:
    said = report.text(ROW)
    for part in ("load average 0.50", "wrk -c16", "gateway 4.0 (140)", "0.25 cores", "9.5 s"):
        assert part in said
    assert "12.00  ≥ 8  met" in said
    assert "mail-worker" not in said


def test_markdown_has_the_same_figures_in_tables() -> None:
    said = report.markdown(ROW)
    assert "| gateway | 1,200 | 8 | 20 | 31.5 |  | 1.00 |" in said
    assert "| gateway : naive gateway | 12.00 | ≥ 8 | met |" in said


def test_cpu_time_a_unit_is_a_table_in_milliseconds_and_one_in_bare_requests() -> None:
    said = report.markdown(COUNTED)
    assert "| CPU ms a read | gateway |\n| --- | --- |\n| gateway | 2.00 |" in said
    assert "| CPU a read, bare Flask request = 1 | gateway |" in said
    assert "| gateway | 8.00 |" in said
    assert "mail-worker | " not in said


def test_without_a_bare_request_there_are_milliseconds_alone() -> None:
    said = report.text(replace(COUNTED, bare=None))
    assert "CPU ms a read" in said and "bare" not in said


def test_rates_that_are_held_are_not_compared_and_a_program_is_described_once() -> None:
    said = report.markdown(replace(ROW, figures=[FAST, FAST, SLOW], held=True))
    assert "of the first" not in said
    assert said.count("- **gateway**") == 1
    assert said.count("| gateway |") == 2


def test_a_figure_without_a_usage_of_its_own_is_part_of_the_whole() -> None:
    assert report.used(Figure("reads", "", [Sample(1)], Usage({}, {}, 0.0))) == "part of the whole"


def test_json_has_every_sample_and_the_medians(tmp_path: Path) -> None:
    file = tmp_path / "made" / "run.json"
    document.write(RUN, file)
    written = json.loads(file.read_text())
    [row] = written["rows"]
    assert written["load_average_before"] == 0.4
    assert [figure["rival"] for figure in row["figures"]] == ["gateway", "naive gateway"]
    assert row["figures"][0]["medians"]["p99"] == 20.0
    assert len(row["figures"][0]["samples"]) == 2
    assert row["figures"][1]["failed"] == 3
    assert row["figures"][0]["memory_bytes"] == {"gateway": 140_000_000}
    assert row["ratios"][0]["met"] is True


@pytest.mark.parametrize(("load", "warns"), [(0.3, False), (1.0, False), (1.01, True)])
def test_the_benchmark_warns_of_a_busy_machine(load: float, warns: bool) -> None:
    assert bool(machine.warning(load)) is warns
