"""What drills say: the table, the page, the evidence, the choice of drills."""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from unittest.mock import Mock

import pytest

from tools.drills import catalogue, command
from tools.drills.checks.findings import LOST, REPEATED, SLOW, Finding
from tools.drills.report import artifacts, chart, page, table
from tools.drills.report.result import Result, Sample
from tools.drills.run import Runner
from tools.drills.workload.history import Answer, Request, Verdict
from tools.drills.workload.load import Load
from tools.stack.errors import StackError

LOAD = Load(30, 20, 7)
SAMPLES = [Sample(1, 10, 8, 2), Sample(2, 20, None, None), Sample(3, 30, 30, 0)]


def _result(name: str = "broker-killed", recovery: float | None = 2.5) -> Result:
    result = Result(name, accepted=30, once=30, recovery=recovery, samples=SAMPLES)
    result.band = (1.0, 2.0)
    result.marks.append((1.0, "rabbitmq: <kill>"))
    return result


@pytest.mark.parametrize(
    ("result", "good"),
    [
        (_result(), True),
        (_result(recovery=60.0), True),
        (_result(recovery=60.1), False),
        (_result(recovery=None), False),
        (Result("x", skipped="needs root"), True),
    ],
)
def test_a_drill_passes_if_it_recovered_within_a_minute(result: Result, good: bool) -> None:
    assert result.good is good


@pytest.mark.parametrize("verdict", [LOST, REPEATED, SLOW])
def test_a_drill_with_findings_has_failed(verdict: str) -> None:
    result = _result()
    result.findings = [Finding(verdict, "drill-x-1", "the bill drill-x-1 is not there")]
    assert not result.good
    result.left = "/somewhere"
    text = table.describe([result])
    assert "FAILED" in text
    assert "the bill drill-x-1 is not there" in text
    assert "/somewhere" in text


def test_a_drill_with_an_improper_answer_has_failed() -> None:
    result = _result()
    result.improper = 1
    assert not result.good


def test_the_table_has_a_row_for_each_drill_and_says_why_one_was_skipped() -> None:
    text = table.describe([_result(), Result("network-cut", skipped="needs root")])
    assert "broker-killed  30        30             0     0" in text
    assert "network-cut: skipped: needs root" in text


class Tags(HTMLParser):
    """Which tags a page has, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_has_a_picture_of_each_drill_and_loads_nothing() -> None:
    skipped = Result("network-cut", skipped="needs root")
    text = page.render([_result(), skipped], LOAD)
    tags = Tags(text)
    assert tags.tags.count("svg") == 1
    assert tags.loads == ["#broker-killed"]
    assert "url(" not in text
    assert "@import" not in text
    assert "needs root" in text
    assert "&lt;kill&gt;" in text
    assert "prefers-color-scheme: dark" in text


def test_a_chart_line_is_interrupted_where_a_value_is_unknown() -> None:
    line = chart.line(SAMPLES, lambda s: s.recorded, chart.Scale(3, 30, 0, 100))
    assert line.count("M") == 2
    assert line.count("L") == 0


@pytest.mark.parametrize(("most", "rounded"), [(1, 1), (3, 5), (10, 10), (101, 200), (999, 1000)])
def test_an_axis_ends_at_a_round_number(most: int, rounded: int) -> None:
    assert chart.rounded_up(most) == rounded


def test_evidence_has_the_findings_and_what_every_client_saw(tmp_path: Path) -> None:
    result = _result()
    result.findings = [Finding(LOST, "drill-x-1", "it is not there")]
    request = Request("bill", "drill-x-1", "POST", "/api/billing", key="drill-x-1")
    artifacts.keep(result, [Answer(request, Verdict.ACCEPTED, 202, 0.1, "a", "queue")], tmp_path)
    kept = json.loads((tmp_path / "findings.json").read_text())
    assert kept["findings"] == [{"verdict": "lost", "of": "drill-x-1", "what": "it is not there"}]
    assert kept["notes"] == ["1.0 s: rabbitmq: <kill>"]
    [line] = (tmp_path / "answers.jsonl").read_text().splitlines()
    assert (json.loads(line)["id"], json.loads(line)["verdict"]) == ("a", "accepted")


def test_evidence_has_the_lines_of_the_logs_that_fall_into_the_window(tmp_path: Path) -> None:
    logs, kept = tmp_path / "logs", tmp_path / "kept"
    logs.mkdir()
    kept.mkdir()
    times = ["2026-11-22T09:00:00.5Z", "2026-11-22T10:00:00.5Z", "2026-11-22T11:00:00.5Z"]
    lines = [json.dumps({"timestamp": moment}) for moment in times]
    (logs / "gateway-out.log").write_text("\n".join([*lines, "Traceback"]) + "\n")
    # in 2026, from 09:30 to 10:30
    artifacts.keep_window(logs, kept, 1795339800, 1795343400)
    assert (kept / "gateway-out.log").read_text().splitlines() == [lines[1], "Traceback"]


def test_an_unknown_drill_is_named_with_the_known_ones() -> None:
    with pytest.raises(StackError, match="no drill nosuch") as raised:
        catalogue.chosen(["nosuch", "broker-killed"])
    assert all(drill.name in str(raised.value) for drill in catalogue.DRILLS)


def test_without_a_name_all_drills_are_chosen() -> None:
    assert catalogue.chosen([]) == list(catalogue.DRILLS)
    assert [drill.name for drill in catalogue.chosen(["broker-killed"])] == ["broker-killed"]


def test_each_drill_has_a_fault_or_a_disk_to_fill() -> None:
    assert all(bool(drill.fault) != bool(drill.small_disk) for drill in catalogue.DRILLS)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_a_line_written_over_and_on_a_terminal_alone(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(written, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stderr", written)
    command.progress("broker-killed  3.0 s")
    command.progress("")
    wanted = "\r\x1b[Kbroker-killed  3.0 s\r\x1b[K" if is_terminal else ""
    assert written.getvalue() == wanted


@pytest.mark.parametrize("failing", ["the experiment", "the repair", "the separate stack"])
def test_a_drill_that_cannot_be_undone_keeps_its_findings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failing: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise StackError(f"{failing} fails")

    @contextmanager
    def full_disk(*_arguments: object) -> Iterator[None]:
        yield
        if failing == "the separate stack":
            fail()

    found = _result()
    found.findings = [Finding(LOST, "drill-x-1", "it is not there")]
    experiment, platform = Mock(), Mock()
    experiment.result = experiment.run.return_value = found
    experiment.history.answers.return_value = []
    platform.depths.return_value = {}
    if failing == "the experiment":
        experiment.run.side_effect = StackError("the experiment fails")
    if failing == "the repair":
        platform.repair.side_effect = fail
    monkeypatch.setattr("tools.drills.run.Experiment", Mock(return_value=experiment))
    monkeypatch.setattr("tools.drills.run._full_disk", full_disk)
    runner = Runner(platform, LOAD, tmp_path, lambda _words: None)
    [drill] = catalogue.chosen(["broker-killed"])
    result = runner.run(drill)
    assert (result.accepted, result.abandoned, result.good) == (30, True, False)
    assert [finding.words for finding in result.findings] == ["it is not there", f"{failing} fails"]


def test_a_drill_that_cannot_start_ends_the_run_and_earlier_results_are_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runner = Mock()
    runner.run.side_effect = [_result(), StackError("There are no fixtures."), _result()]
    monkeypatch.setattr(command, "Runner", Mock(return_value=runner))
    drills = catalogue.chosen(["consumer-stopped", "broker-killed", "poison-flood"])
    results = command._run_all(drills, Mock(), LOAD)
    assert len(results) == 2 and results[0].good
    assert not results[1].good
    assert "There are no fixtures." in table.describe(results)
