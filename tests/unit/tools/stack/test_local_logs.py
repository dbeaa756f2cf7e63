"""./stack logs: the lines of several files as one log, the newest last."""

import json
import os
from pathlib import Path

import pytest

from tools.stack import commands, logs
from tools.stack.stack import Stack

OUT = "billing-consumer-out.log"
ERROR = "billing-consumer-error.log"


def _dated(second: int, message: str) -> str:
    return json.dumps({"timestamp": f"2026-11-28T09:00:{second:02}.000000Z", "message": message})


def _seconds(second: float) -> float:
    """Seconds since 1970 of a moment in the minute of the dated lines."""
    return 1795856400.0 + second


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack of which there are only logs."""
    made = Stack.private(tmp_path)
    made.process_manager.logs.mkdir(parents=True)
    return made


def _write(stack: Stack, name: str, lines: list[str], second: float) -> Path:
    file = stack.process_manager.logs / name
    file.write_text("".join(f"{line}\n" for line in lines))
    os.utime(file, (_seconds(second), _seconds(second)))
    return file


def _shown(stack: Stack, capfd: pytest.CaptureFixture[str], lines: int = 50) -> list[str]:
    commands.logs(stack, "billing-consumer", lines, following=False)
    return capfd.readouterr().out.splitlines()


def test_old_lines_without_a_date_come_before_newer_ones_and_not_beside_the_newest(
    stack: Stack, capfd: pytest.CaptureFixture[str]
) -> None:
    _write(stack, ERROR, ["Traceback", "  old"], 20.5)
    out = [_dated(second, "fine") for second in range(10, 30)]
    _write(stack, OUT, out, 29)
    assert _shown(stack, capfd) == [*out[:11], "Traceback", "  old", *out[11:]]
    assert _shown(stack, capfd, lines=5) == out[-5:]


def test_new_lines_without_a_date_come_last(
    stack: Stack, capfd: pytest.CaptureFixture[str]
) -> None:
    _write(stack, ERROR, ["Traceback", "  new"], 40)
    out = [_dated(second, "fine") for second in range(10, 30)]
    _write(stack, OUT, out, 29)
    assert _shown(stack, capfd, lines=3) == [out[-1], "Traceback", "  new"]


def test_lines_without_a_date_stay_behind_the_one_that_they_follow(
    stack: Stack, capfd: pytest.CaptureFixture[str]
) -> None:
    out = ["before all", _dated(10, "first"), "  its second line", _dated(20, "second")]
    _write(stack, OUT, out, 40)
    _write(stack, ERROR, ["error"], 15)
    assert _shown(stack, capfd) == [*out[:3], "error", out[3]]


def test_the_dates_of_servers_are_known(tmp_path: Path) -> None:
    lines = {
        "2026-11-28 09:00:05.123 UTC [7] LOG:  ready": 5.123,
        "2026-11-28 09:00:05.123456+00:00 [info] <0.1.0> ready": 5.123456,
        "2026-11-28 10:00:05.5+01:00 [info] <0.1.0> ready": 5.5,
        '{"level": "info", "message": "x", "timestamp": "2026-11-28T09:00:05.25+00:00"}': 5.25,
    }
    for line, second in lines.items():
        assert logs.moment(line) == pytest.approx(_seconds(second))
    for line in ("2026-13-28 09:00:05 UTC", "ready", "", '{"timestamp": 5}'):
        assert logs.moment(line) is None


def test_a_file_is_read_from_its_end(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("".join(f"{n} {'x' * 1000}\n" for n in range(500)))
    lines, end = logs.tail(file, 200)
    assert [int(line.partition(" ")[0]) for line in lines] == list(range(300, 500))
    assert end == file.stat().st_size
    assert logs.tail(file, 0) == ([], end)
    assert len(logs.tail(file, 1000)[0]) == 500
    file.write_text("no end")
    assert logs.tail(file, 5) == (["no end"], 6)
    file.write_text("")
    assert logs.tail(file, 5) == ([], 0)


def test_following_goes_on_where_the_shown_lines_end(stack: Stack) -> None:
    _write(stack, OUT, ["shown"], 20)
    error = _write(stack, ERROR, [], 20)
    files = logs.files(stack.process_manager.logs, "billing-consumer")
    _, ends = logs.recent(files, 50)
    with (stack.process_manager.logs / OUT).open("a") as file:
        file.write("new\n")
    error.write_text("newer\n")
    written = {line for file, end in ends.items() for line in file.read_bytes()[end:].splitlines()}
    assert written == {b"new", b"newer"}
