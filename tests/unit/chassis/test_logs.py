"""One JSON line per thing that happened."""

import contextvars
import json
import logging
import subprocess
import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest

from chassis import logs, trace
from chassis.trace import Trace
from tests.support.servers import Logged

TRACE = Trace("req-1", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


def test_a_line_has_time_level_process_and_message(logged: Logged) -> None:
    logging.getLogger("inventory").warning("movie %s deleted", 7)
    [line] = logged()
    assert (line["level"], line["process"], line["message"]) == (
        "warning",
        "inventory-api",
        "movie 7 deleted",
    )
    assert line["timestamp"].endswith("Z")
    time = datetime.fromisoformat(line["timestamp"].replace("Z", "+00:00"))
    assert abs(datetime.now(time.tzinfo) - time) < timedelta(minutes=1)


def test_a_line_begins_with_the_fields_that_all_lines_have(logged: Logged) -> None:
    with trace.within(TRACE):
        logging.getLogger("inventory").info("here", extra={"status": 200})
    [line] = logged()
    assert tuple(line) == (*logs.FIELDS, "status")


def test_a_line_carries_the_trace_of_the_work_in_hand(logged: Logged) -> None:
    with trace.within(TRACE):
        logging.getLogger("inventory").info("within")
    [line] = logged()
    assert (line["request_id"], line["trace_id"]) == ("req-1", TRACE.trace_id)


def test_a_line_outside_of_a_request_has_no_request_id(logged: Logged) -> None:
    contextvars.Context().run(logging.getLogger("inventory").info, "outside")
    [line] = logged()
    assert "request_id" not in line
    assert "trace_id" not in line


@pytest.mark.parametrize("text", ["two\nlines", 'a "quote"', "réalité", "\u2028", "\0"])
def test_every_printed_value_stays_on_one_line(logged: Logged, text: str) -> None:
    logging.getLogger("inventory").info(text, extra={"detail": text})
    [line] = logged()
    assert (line["message"], line["detail"]) == (text, text)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("12.30"), "12.30"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime(2026, 11, 28, 9, 0, 5, tzinfo=timezone.utc), "2026-11-28T09:00:05+00:00"),
        (date(2026, 11, 28), "2026-11-28"),
        ({"one": (1, 2.5, None)}, {"one": [1, 2.5, None]}),
        ({1: "one"}, {"1": "one"}),
        (2**70, 2**70),
        (RuntimeError("why"), "RuntimeError: why"),
        (KeyError, "KeyError"),
        (b"bytes", "Ynl0ZXM="),
        ("lone \ud800", "lone \ud800"),
        ("\x1b[2J\x7f\x9b\u202e", "\x1b[2J\x7f\x9b\u202e"),
    ],
)
def test_every_value_can_be_logged(logged: Logged, value: object, shown: object) -> None:
    logging.getLogger("inventory").info("here", extra={"value": value})
    [line] = logged()
    assert line["value"] == shown


def test_an_exception_stays_one_line_with_its_traceback(logged: Logged) -> None:
    try:
        raise RuntimeError("the cause")
    except RuntimeError:
        logging.getLogger("inventory").exception("failed")
    [line] = logged()
    assert line["level"] == "error"
    assert "RuntimeError: the cause" in line["exc_info"]


def test_libraries_speak_from_warning_on(logged: Logged) -> None:
    for name in ("alembic.runtime", "werkzeug"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("trouble")
    assert [line["message"] for line in logged()] == ["trouble"] * 2


def test_the_servers_own_lines_have_the_same_fields_without_code_of_ours() -> None:
    configure = "import json, logging.config, sys; logging.config.dictConfig(json.load(sys.stdin))"
    log = "logging.getLogger('_granian').error('Worker-%d is gone', 1)"
    no_code_of_ours = "sys.exit('chassis' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", "; ".join((configure, log, no_code_of_ours))],
        input=json.dumps(logs.granian_config("gateway")),
        capture_output=True,
        text=True,
        check=True,
    )
    line = json.loads(done.stdout)
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is not None
    assert line == {"level": "error", "message": "Worker-1 is gone", "process": "gateway"}
