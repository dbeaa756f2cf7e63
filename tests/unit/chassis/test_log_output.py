"""Log lines whose reader may not read: nobody waits for it; none is lost while there is room."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from chassis import log_output
from chassis.log_output import BATCH_SECONDS, LIMIT_BYTES, Output
from tools.stack.layout import CHECKOUT
from tools.stack.waiting import wait_until

SECONDS = 30.0
LINE = "a line like those of requests, of some two hundred bytes " + "." * 150
Ends = tuple[int, int]


def _pipe() -> Ends:
    return os.pipe()


def _socket_pair() -> Ends:
    """What PM2 gives its processes as standard output."""
    reader, writer = socket.socketpair()
    return reader.detach(), writer.detach()


@pytest.fixture(params=[_pipe, _socket_pair], ids=["pipe", "socket"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """The two ends of what lines go through: where they are read, where they are written."""
    reader, writer = request.param()
    yield reader, writer
    for end in (reader, writer):
        with suppress(OSError):
            os.close(end)


class Dropped:
    """Counts lines that are dropped."""

    count = 0

    def __call__(self) -> None:
        """Count one."""
        self.count += 1


def _read_until(reader: int, end: str) -> list[str]:
    """Read lines until one that is `end`."""
    with os.fdopen(os.dup(reader), errors="strict") as file:
        lines = []
        while (line := file.readline()) != f"{end}\n":
            assert line.endswith("\n")
            lines.append(line[:-1])
        return lines


@contextmanager
def _reading(reader: int) -> Iterator[list[str]]:
    """Read during a block, which has to write the line `end`; lends what was read before it."""
    lines: list[str] = []
    thread = threading.Thread(target=lambda: lines.extend(_read_until(reader, "end")), daemon=True)
    thread.start()
    yield lines
    thread.join(SECONDS)


def _numbers(lines: list[str]) -> list[int]:
    return [int(line.partition(" ")[0]) for line in lines if line[0].isdigit()]


def test_lines_that_find_no_room_wait_and_come_in_order(ends: Ends) -> None:
    reader, writer = ends
    dropped = Dropped()
    output = Output(writer, "gateway", dropped)
    count = LIMIT_BYTES // len(LINE) // 2
    for number in range(count):
        output.write(f"{number} {LINE}\n")
    output.write("end\n")
    assert _numbers(_read_until(reader, "end")) == list(range(count))
    assert dropped.count == 0


def test_a_line_that_comes_as_the_writing_of_others_ends_is_written(ends: Ends) -> None:
    reader, writer = ends

    class Interrupted(Output):
        """One whose writing a signal's handler, which logs, interrupts at its end."""

        def _write_all(self) -> bool:
            is_all = super()._write_all()
            if not interruptions:
                interruptions.append(line := b"in between\n")
                self.put(line)
            return is_all

    interruptions: list[bytes] = []
    output = Interrupted(writer, "gateway")
    output.put(b"a line\n", at_once=True)
    os.set_blocking(reader, False)
    said = bytearray()

    def is_said() -> bool:
        with suppress(BlockingIOError):
            said.extend(os.read(reader, 100))
        return said == b"a line\nin between\n"

    wait_until(is_said, 5, "both lines")
    output.close()


def test_lines_beyond_the_limit_are_dropped_and_counted_in_their_place(
    ends: Ends,
) -> None:
    reader, writer = ends
    dropped = Dropped()
    output = Output(writer, "gateway", dropped)
    for number in range(20_000):
        output.write(f"{number} {LINE}\n")
    assert 0 < dropped.count < 20_000
    with _reading(reader) as lines:
        output.drain(SECONDS)
        output.write(f"20000 {LINE}\n")
        output.write("end\n")
    kept = 20_000 - dropped.count
    assert _numbers(lines) == [*range(kept), 20_000]
    [place] = [n for n, line in enumerate(lines) if not line[0].isdigit()]
    assert place == kept
    assert '"process": "gateway", "message": "log lines dropped' in lines[place]
    assert f'"dropped": {dropped.count}}}' in lines[place]


@pytest.fixture
def packets() -> Iterator[tuple[socket.socket, Output]]:
    """An output, and a socket that receives each of its writes as one packet."""
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader.settimeout(SECONDS)
    with reader, writer:
        yield reader, Output(writer.fileno(), "gateway")


def test_lines_that_follow_each_other_are_written_together(
    packets: tuple[socket.socket, Output],
) -> None:
    reader, output = packets
    output._pause = 1000.0
    for number in range(4):
        output.write(f"{number}\n")
    output.flush()
    assert [reader.recv(100) for _ in range(2)] == [b"0\n", b"1\n2\n3\n"]


def test_an_urgent_line_is_written_at_once_with_those_that_wait(
    packets: tuple[socket.socket, Output],
) -> None:
    reader, output = packets
    output._pause = 1000.0
    for number in range(3):
        output.write(f"{number}\n")
    output.put(b"urgent\n", at_once=True)
    assert [reader.recv(100) for _ in range(2)] == [b"0\n", b"1\n2\nurgent\n"]


def test_a_batch_is_written_when_it_is_full(packets: tuple[socket.socket, Output]) -> None:
    reader, output = packets
    output._pause = 1000.0
    for _ in range(5):
        output.write("." * 10_000)
    assert [len(reader.recv(100_000)) for _ in range(2)] == [10_000, 30_000]


def test_all_processes_write_at_the_same_times() -> None:
    # periods of 50 ms: a line waits for the rest of the present one, never for a whole one more
    for now, end in ((100.001, 100.05), (100.02, 100.05), (100.049, 100.05), (7.26, 7.3)):
        assert log_output._end_of_period(now, 0.05) == pytest.approx(end)
    # at the end of a process nothing waits
    assert log_output._end_of_period(7.26, 0.0) == 7.26


def test_lines_behind_a_batch_that_another_thread_wrote_wait_for_the_next(
    packets: tuple[socket.socket, Output],
) -> None:
    reader, output = packets
    output.write("0\n")
    output._next_write_at = time.monotonic() + 4 * BATCH_SECONDS
    output.write("1\n")  # for which the thread waits
    output._pause = 1000.0
    output.flush()
    output.write("2\n")
    output.write("3\n")
    assert [reader.recv(100) for _ in range(2)] == [b"0\n", b"1\n"]
    time.sleep(8 * BATCH_SECONDS)
    output.flush()
    assert reader.recv(100) == b"2\n3\n"


def test_a_thread_writes_the_lines_that_wait_and_wakes_for_nothing_else(
    packets: tuple[socket.socket, Output],
) -> None:
    reader, output = packets
    for number in range(2):
        output.write(f"{number}\n")
    assert [reader.recv(100) for _ in range(2)] == [b"0\n", b"1\n"]
    thread = output._thread
    assert thread is not None
    status = Path(f"/proc/self/task/{thread.native_id}/status")
    wait_until(lambda: "State:\tS" in status.read_text(), SECONDS, "the thread to sleep")
    before = _switches(status)
    time.sleep(4 * BATCH_SECONDS)
    assert _switches(status) == before


def _switches(status: Path) -> list[str]:
    return [line for line in status.read_text().splitlines() if "voluntary_ctxt" in line]


def test_writing_never_blocks_and_leaves_shared_descriptors_unchanged(
    ends: Ends,
) -> None:
    _reader, writer = ends
    Output(writer, "gateway").write("one\n")
    assert os.get_blocking(writer)
    assert not fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK


def test_a_pipe_of_another_user_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    # as the kernel says of /proc/self/fd/N: that of a container's engine, say, read by nobody else
    monkeypatch.setattr(os, "open", _refuse)
    output = Output(writer, "gateway")
    with _reading(reader) as lines:
        output.write("one\n")
        output.write("end\n")
    assert lines == ["one"]
    os.close(reader)
    os.close(writer)


def _refuse(*_arguments: object) -> int:
    raise PermissionError(errno.EACCES, "Permission denied")


def test_a_line_larger_than_the_buffer_arrives_whole(ends: Ends) -> None:
    reader, writer = ends
    output = Output(writer, "gateway")
    output.write("x" * 3_000_000 + "\n")
    with _reading(reader) as lines:
        output.drain(SECONDS)
        output.write("end\n")
    assert lines == ["x" * 3_000_000]


def test_a_gone_reader_blocks_nobody(ends: Ends) -> None:
    reader, writer = ends
    dropped = Dropped()
    output = Output(writer, "gateway", dropped)
    os.close(reader)
    for _ in range(10):
        output.write(f"{LINE}\n")
    output.drain(SECONDS)
    assert dropped.count == 10


def test_lines_that_wait_are_dropped_when_the_reader_goes(ends: Ends) -> None:
    reader, writer = ends
    dropped = Dropped()
    output = Output(writer, "gateway", dropped)
    for _ in range(5_000):
        output.write(f"{LINE}\n")
    before = dropped.count
    os.close(reader)
    wait_until(lambda: dropped.count > before, SECONDS, "the lines to be given up")
    output.drain(SECONDS)
    output.write(f"{LINE}\n")


def test_a_forked_child_writes_its_own_lines_and_not_those_of_its_parent(ends: Ends) -> None:
    reader, writer = ends
    output = Output(writer, "gateway")
    for number in range(3_000):
        output.write(f"{number} {LINE}\n")
    child = os.fork()
    if child == 0:
        output.write("child\n")
        output.drain(SECONDS)
        os._exit(0)
    with _reading(reader) as lines:
        os.waitpid(child, 0)
        output.drain(SECONDS)
        output.write("end\n")
    assert lines.count("child") == 1
    assert _numbers(lines) == list(range(3_000))


CONFIGURED = "import logging, os, sys; from chassis import logs; logs.configure('gateway'); "
MANY = f"[logging.getLogger('x').info('%d {LINE}', n) for n in range(1000)]; "
Piped = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def run() -> Iterator[Piped]:
    """Run a program with configured logs, its output in a pipe."""
    started = []

    def start(code: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", CONFIGURED + code]
        process = subprocess.Popen(
            command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize(
    "end",
    [
        "os._exit(1)",
        "raise RuntimeError('why')",
        "os.abort()",
        "os.kill(os.getpid(), 9)",
        "os.kill(os.getpid(), 15)",
    ],
)
@pytest.mark.parametrize(
    "lines",
    ["info('the last words')", "info('a first'); logging.getLogger('x').error('the last words')"],
    ids=["the only line", "an error"],
)
def test_the_last_line_before_an_end_is_not_lost(run: Piped, end: str, lines: str) -> None:
    said, _ = run(f"logging.getLogger('x').{lines}; {end}").communicate()
    assert b"the last words" in said


@pytest.mark.parametrize("end", ["logs.flush(); os._exit(1)", "raise RuntimeError('why')"])
def test_an_orderly_end_writes_the_lines_that_wait(run: Piped, end: str) -> None:
    said, _ = run(f"[logging.getLogger('x').info('%d', n) for n in range(9)]; {end}").communicate()
    assert said.count(b"\n") == 9


def test_lines_that_wait_at_the_end_are_written_if_somebody_reads(run: Piped) -> None:
    said, _ = run(MANY + "logging.getLogger('x').info('the last words')").communicate()
    assert said.count(b"\n") == 1001
    assert b"the last words" in said.splitlines()[-1]


def test_a_stop_does_not_wait_for_a_stalled_reader(run: Piped) -> None:
    assert run(MANY + "sys.exit(3)").wait(SECONDS) == 3


def test_dropped_lines_are_a_metric(run: Piped) -> None:
    more = f"[logging.getLogger('x').info('{LINE}') for n in range(10000)]; "
    value = "logs.DROPPED._value.get()"
    assert run(f"{more} sys.exit(7 if {value} > 1000 else 1)").wait(SECONDS) == 7


def test_a_signals_handler_logs_in_the_middle_of_a_line(run: Piped) -> None:
    code = (
        "import signal; signal.signal(signal.SIGALRM, "
        "lambda *_: logging.getLogger('x').info('in between')); "
        "signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005); "
        "[logging.getLogger('x').info('%d', n) for n in range(20000)]; "
        "signal.setitimer(signal.ITIMER_REAL, 0); logging.getLogger('x').info('whole')"
    )
    said, _ = run(code).communicate(timeout=SECONDS)
    assert b"in between" in said
    assert b"whole" in said.splitlines()[-1]
