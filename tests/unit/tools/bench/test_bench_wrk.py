"""What wrk is asked for, and what it has said."""

import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from tools.bench import wrk
from tools.stack import processes
from tools.stack.errors import StackError
from tools.stack.waiting import wait_until

OUTPUT = """\
Running 4s test @ http://127.0.0.1:8080
  1 threads and 16 connections
  4000 requests in 4.00s, 1.20MB read

BENCH {"seconds": 4.0, "requests": 4000, "refused": 400, "broken": 2, "p50": 8.1, "p99": 20.5,\
 "longest": 41.0}
"""


def test_its_last_line_is_read() -> None:
    answers = wrk.parse(OUTPUT)
    assert (answers.seconds, answers.requests, answers.accepted) == (4.0, 4000, 3600)


def test_refused_requests_do_not_count_for_the_rate() -> None:
    sample = wrk.parse(OUTPUT).sample(done=850.0)
    assert (sample.rate, sample.failed, sample.done) == (900.0, 402, 850.0)
    assert (sample.p50, sample.p99, sample.longest) == (8.1, 20.5, 41.0)


@pytest.mark.parametrize("output", ["", "unable to connect to 127.0.0.1:1 Connection refused"])
def test_an_output_without_that_line_is_reported_in_one_sentence(output: str) -> None:
    with pytest.raises(StackError, match=r"^wrk printed no result: "):
        wrk.parse(output)


def test_a_token_is_in_the_environment_and_not_in_the_command_line() -> None:
    request = wrk.Request("/api/orders", body="{}", token="a secret")
    assert "a secret" in request.variables().values()
    assert "a secret" not in " ".join(wrk.command("http://127.0.0.1", 16, 4))


@pytest.mark.parametrize(("body", "method"), [(None, "GET"), ("{}", "POST")])
def test_a_request_with_a_body_is_a_post(body: str | None, method: str) -> None:
    assert wrk.Request("/api/movies", body=body).variables()["BENCH_METHOD"] == method


def test_two_runs_never_post_the_same_data() -> None:
    request = wrk.Request("/api/customers", body='{"email": "{u}@kawa.fr"}')
    assert request.variables()["BENCH_RUN"] != request.variables()["BENCH_RUN"]


@pytest.mark.parametrize(("seconds", "word"), [(0.5, "-d1s"), (4, "-d4s")])
def test_wrk_runs_whole_seconds(seconds: float, word: str) -> None:
    assert word in wrk.command("http://127.0.0.1", 1, seconds)


def test_a_wrk_that_fails_is_reported_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "wrk"
    program.write_text(f"#!{sys.executable}\nraise SystemExit('no such option')\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match=r"^wrk failed: no such option$"):
        wrk.load("http://127.0.0.1", wrk.Request("/"), 1, 1)


@pytest.mark.parametrize("ends", [True, False])
def test_a_wrk_beside_others_lasts_as_long_as_they_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    begun = tmp_path / "begun"
    program = tmp_path / "wrk"
    rest = "raise SystemExit(3)" if ends else "import time; time.sleep(600)"
    program.write_text(
        f"#!{sys.executable}\nimport os; open('{begun}', 'w').write(str(os.getpid()))\n{rest}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    expected = pytest.raises(StackError, match="with status 3") if ends else nullcontext()
    with expected, wrk.beside("http://127.0.0.1", wrk.Request("/"), 1):
        wait_until(lambda: begun.exists() and begun.read_text() != "", 30, "wrk to begin")
        pid = int(begun.read_text())
        wait_until(lambda: processes.alive(pid) != ends, 30, "wrk to end, if it does")
    assert not processes.alive(pid)


def test_its_script_is_lua_that_can_be_read() -> None:
    text = wrk.SCRIPT.read_text()
    assert wrk.MARK in text
    for name in wrk.Request("/", body="{}", token="t").variables():
        assert f'"{name}"' in text
