"""Finding one request in the logs of all processes."""

import json
from pathlib import Path

import pytest

from tools.stack import trace


def _line(second: int, identifier: str) -> str:
    stamp = f"2026-01-01T00:00:{second:02}.000000Z"
    return json.dumps({"timestamp": stamp, "request_id": identifier}) + "\n"


def test_lines_of_all_processes_come_in_the_order_of_time(tmp_path: Path) -> None:
    (tmp_path / "gateway-out.log").write_text(_line(1, "one") + _line(3, "one"))
    (tmp_path / "billing-consumer-out.log").write_text(_line(2, "one") + _line(2, "two"))
    found = trace.find(tmp_path, "one")
    assert [line.split()[0] for line in found] == ["gateway", "billing-consumer", "gateway"]


def test_lines_without_the_identifier_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "gateway-out.log").write_text(_line(1, "one"))
    assert trace.find(tmp_path, "two") == []


@pytest.mark.parametrize("longer", ["onex", "xone", "one-2", "0-one", "one.two", "shop/one", "on"])
def test_part_of_an_id_is_not_that_id(tmp_path: Path, longer: str) -> None:
    (tmp_path / "gateway-out.log").write_text(_line(1, longer))
    assert trace.find(tmp_path, "one") == []


@pytest.mark.parametrize("text", ["one", "order one.", "id=one", "id:one", "(one)", "one, two"])
def test_an_id_in_a_sentence_is_found(tmp_path: Path, text: str) -> None:
    (tmp_path / "gateway-out.log").write_text(_line(1, text))
    assert len(trace.find(tmp_path, "one")) == 1


@pytest.mark.parametrize("line", ["not JSON", "[1]", "", '"text"', "{}"])
def test_a_line_without_a_timestamp_has_an_empty_one(line: str) -> None:
    assert trace.timestamp(line) == ""


@pytest.mark.parametrize("kind", ["out", "error"])
def test_the_process_follows_from_the_name_of_a_log_file(kind: str) -> None:
    assert trace.process_of(Path(f"/logs/billing-api-{kind}.log")) == "billing-api"
