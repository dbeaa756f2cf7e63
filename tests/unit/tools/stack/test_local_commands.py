"""The commands behind ./stack, without a stack that runs."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from tools.drills import catalogue
from tools.drills import command as drills
from tools.drills.workload.load import Load
from tools.stack import commands, status
from tools.stack.errors import StackError
from tools.stack.layout import PROCESSES
from tools.stack.pm2 import Entry
from tools.stack.stack import Stack

GATEWAY = PROCESSES[0]
LOAD = Load(1, 1, 1)


class Answers(BaseHTTPRequestHandler):
    """Says that it is ready, and is the gateway."""

    body: object = {"status": "ready", "process": "gateway"}

    def do_GET(self) -> None:
        """Answer anything."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.body).encode())

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    """A program on a port."""
    with HTTPServer(("127.0.0.1", 0), Answers) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        yield listening
        listening.shutdown()


@pytest.fixture
def stack(tmp_path: Path, server: HTTPServer) -> Stack:
    """A stack that was never started, with a program on the gateway's port."""
    return Stack.private(tmp_path, GATEWAY_PORT=str(server.server_port))


def _entry(state: str) -> Entry:
    return Entry("gateway", 1, state, restarts=0, memory=0, started=0.0)


def test_pm2_is_not_started_by_a_call_of_it(stack: Stack) -> None:
    with pytest.raises(StackError, match=r"^PM2 does not run: \./stack up starts it\.$"):
        commands.pm2(stack, ["list"])
    assert not stack.process_manager.home.exists()


def test_events_of_a_broker_that_is_down_are_reported_in_one_sentence(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StackError, match=r"^RabbitMQ does not run: \./stack up starts it\.$"):
        commands.events(stack, "customer_events", "#")
    assert capsys.readouterr().out == ""


def test_sample_data_for_a_gateway_that_is_down_are_reported_in_one_sentence(
    tmp_path: Path,
) -> None:
    stack = Stack.private(tmp_path)
    with pytest.raises(StackError, match=r"^The gateway does not answer: \./stack up starts it\.$"):
        commands.seed(stack)


def test_drills_of_a_stack_that_does_not_run_are_reported_in_one_sentence(tmp_path: Path) -> None:
    chosen = catalogue.chosen(["broker-killed"])
    with pytest.raises(StackError, match=r"does not run, or not all of it: \./stack up starts it"):
        drills.run(Stack.private(tmp_path), chosen, LOAD, False, None)


def test_drills_are_listed_without_a_stack_that_runs() -> None:
    done = CliRunner().invoke(drills.drill, ["--list"])
    assert (done.exit_code, "broker-killed" in done.stdout) == (0, True)


def test_a_report_that_cannot_be_written_is_refused_before_anything_is_broken(
    tmp_path: Path,
) -> None:
    report = tmp_path / "nowhere" / "drills.html"
    with pytest.raises(StackError, match=r"drills\.html can't be written: No such file"):
        drills.run(Stack.private(tmp_path), [], LOAD, False, report)


@pytest.mark.parametrize("words", [["--rate", "0"], ["--seconds", "nan"], ["--rate", "x"]])
def test_an_invalid_load_is_refused(words: list[str]) -> None:
    done = CliRunner().invoke(drills.drill, words)
    assert (done.exit_code, "Invalid value for '--" in done.stderr) == (2, True)


def test_queues_of_a_broker_that_is_down_are_unknown(stack: Stack) -> None:
    rows = status._queue_rows(stack.rabbitmq)
    inboxes = ("inventory_inbox", "orders_inbox", "customer_replica_inbox", "billing_inbox")
    assert [name for name, _ in rows] == [
        *("billing_queue", "order_bills", *inboxes, "mail_inbox", "events_queue")
    ]
    assert {depth for _, depth in rows} == {"unknown: RabbitMQ is down"}


def test_an_id_without_log_lines_is_named(stack: Stack) -> None:
    with pytest.raises(StackError, match=r"^Nothing was logged under nosuch\.$"):
        commands.show_trace(stack, "nosuch")


@pytest.mark.parametrize(
    ("action", "was_running", "words"),
    [
        ("stop", True, "stopped"),
        ("stop", False, "was not running"),
        ("kill", False, "was not running"),
        ("start", False, "started"),
        ("start", True, "runs already"),
        ("restart", False, "restarted"),
    ],
)
def test_an_action_says_what_it_has_done(action: str, was_running: bool, words: str) -> None:
    assert commands.outcome(action, was_running) == words


@pytest.mark.parametrize("body", [{"process": "inventory-api"}, {}, [], "gateway"])
def test_another_program_on_the_port_does_not_make_a_process_ready(
    stack: Stack, body: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stack.is_ready(GATEWAY)
    monkeypatch.setattr(Answers, "body", body)
    assert not stack.is_ready(GATEWAY)


@pytest.mark.parametrize(
    ("states", "ready"),
    [
        ([], ["no"]),
        (["stopped"], ["no"]),
        (["online"], ["yes"]),
        (["online", "errored"], ["yes", "no"]),
    ],
)
def test_only_what_pm2_runs_is_shown_as_ready(
    stack: Stack, states: list[str], ready: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack.process_manager, "entries", lambda: [_entry(s) for s in states])
    rows, up = status._process_rows(stack)
    assert [row[-1] for row in rows if row[0] == "gateway"] == ready
    assert not up
