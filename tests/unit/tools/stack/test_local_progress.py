"""What a command says while something goes on, and its colours."""

import io
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tools.stack import console, progress
from tools.stack.layout import CHECKOUT
from tools.stack.progress import Progress

SHELL = """
set -euo pipefail
source provisioning/lib/steps.sh
show_progress=yes
begin_steps /dev/null
work() { sleep "$1"; changed_to done; }
step short work 0
step long work "$1"
"""
TWO_STEPS = """
import threading, time
from tools.stack import console
def one(title, seconds):
    with console.step(title, console.say) as outcome:
        time.sleep(seconds)
        outcome.text = "started"
threads = [threading.Thread(target=one, args=[t, s]) for t, s in (("rabbitmq", 2.5), ("pg", 1.5))]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
console.show(console.coloured("done", "green"))
"""


def _read(terminal: int) -> Iterator[bytes]:
    """What is written to a terminal until nobody has it open any more."""
    with suppress(OSError):
        while chunk := os.read(terminal, 65536):
            yield chunk


def on_a_terminal(*command: str, **environment: str) -> str:
    """What a person would see of a command that runs on a terminal."""
    mine, its = pty.openpty()
    own = {**os.environ, "TERM": "xterm", **environment}
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdin=its, stdout=its, stderr=its, env=own, close_fds=True
    ) as process:
        os.close(its)
        seen = b"".join(_read(mine))
    os.close(mine)
    assert process.returncode == 0, seen
    return seen.decode()


def in_a_pipe(*command: str) -> "subprocess.CompletedProcess[str]":
    """What a program would get of it."""
    own = {**os.environ, "TERM": "xterm"}
    return subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, env=own, check=True
    )


def test_steps_that_go_on_share_a_line_that_is_written_over() -> None:
    seen = on_a_terminal(sys.executable, "-c", TWO_STEPS, NO_COLOR="")
    assert "rabbitmq, pg  1 s" in seen or "pg, rabbitmq  1 s" in seen
    assert "\x1b[32mdone\x1b[0m" in seen
    # what remains of it: the end of each line after the last thing that clears it
    left = [line.rpartition("\x1b[K")[2].strip() for line in seen.replace("\r\n", "\n").split("\n")]
    assert [line.split()[0] for line in left[:2]] == ["pg", "rabbitmq"]


def test_no_colour_is_shown_where_none_is_wanted() -> None:
    for variable in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        seen = on_a_terminal(sys.executable, "-c", TWO_STEPS, **variable)
        assert "done" in seen and "\x1b[32m" not in seen


def test_a_pipe_gets_plain_lines() -> None:
    done = in_a_pipe(sys.executable, "-c", TWO_STEPS)
    assert "\x1b" not in done.stdout + done.stderr and "\r" not in done.stdout
    assert done.stderr == ""
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["pg", "rabbitmq", "done"]


def test_a_long_step_reports_progress_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 0.01)
    shown = threading.Event()

    def write(text: str) -> None:
        pipe.write(text)
        shown.set()

    monkeypatch.setattr(progress, "_write", write)
    with Progress().of("Erlang"):
        assert shown.wait(30)
    assert pipe.getvalue().splitlines()[0] == "  still: Erlang  0 s"


def test_a_few_of_many_steps_are_named() -> None:
    assert progress._few(["a", "b", "c"]) == "a, b, c"
    assert progress._few(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_a_state_is_coloured_on_a_terminal_and_keeps_its_column(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console, "is_coloured", lambda _stream: True)
    rows = [("process", "up"), ("gateway", "up"), ("x", "down"), ("y\x1b[1m", "unknown: z")]
    assert console.table(rows, console.state).split("\n") == [
        "  process     up",
        "  gateway     \x1b[32mup\x1b[0m",
        "  x           \x1b[31mdown\x1b[0m",
        "  y\\u001b[1m  \x1b[33munknown: z\x1b[0m",
    ]


def test_the_steps_of_the_shell_do_the_same() -> None:
    seen = on_a_terminal("bash", "-c", SHELL, "bash", "1.5")
    assert "\r  / long  1 s\x1b[K" in seen or "long  1 s" in seen
    last = seen.replace("\r\n", "\n").strip().split("\n")[-1]
    assert last.rpartition("\x1b[K")[2].split()[:2] == ["long", "done"]
    done = in_a_pipe("bash", "-c", SHELL, "bash", "0")
    assert (done.stdout, "\x1b" in done.stderr) == ("", False)
    assert [line.split()[:2] for line in done.stderr.splitlines()] == [
        ["short", "done"],
        ["long", "done"],
    ]
