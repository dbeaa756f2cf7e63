""".ci/run's set-up of the laboratory, beside its sections."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tools.stack import processes
from tools.stack.layout import CHECKOUT
from tools.stack.waiting import wait_until


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with .ci/run and tools that do nothing, beside a laboratory."""
    home = tmp_path / "checkout"
    (home / ".ci").mkdir(parents=True)
    shutil.copy(CHECKOUT / ".ci" / "run", home / ".ci")
    (home / "monitoring").mkdir()
    (home / "monitoring" / "prometheus.yml").touch()
    write_program(home / ".stack" / "prometheus" / "usr" / "bin" / "promtool", "")
    write_program(home / ".stack" / "venv" / "bin" / "python", "")
    write_program(tmp_path / "shared" / "vagrant-lab" / "clean", "")
    return home


def write_program(path: Path, script: str) -> None:
    """Write a shell script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def make_section_wait_for(file: Path, checkout: Path) -> None:
    """Let the section `ruff` last until the set-up has written this file."""
    written = f"until [ -s {file} ]; do sleep 0.1; done"
    write_program(checkout / ".stack" / "venv" / "bin" / "ruff", f"timeout 20 sh -c '{written}'")


def test_an_interrupted_run_ends_the_set_up_in_the_background(
    checkout: Path, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pids"
    make_section_wait_for(pid_file, checkout)
    lab = tmp_path / "shared" / "vagrant-lab"
    write_program(lab / "setup", f"sleep 300 & echo $$ $! >{pid_file}; wait")
    output = tmp_path / "output"
    with output.open("w") as file:
        run = subprocess.Popen(
            [".ci/run", "monitoring", "ruff", "deployment"],
            cwd=checkout,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        wait_until(
            lambda: "Waiting for the laboratory's set-up" in output.read_text(),
            20,
            "the section to wait",
        )
    finally:
        # as Ctrl-C does
        os.killpg(run.pid, signal.SIGINT)
    run.wait(20)
    pids = [int(pid) for pid in pid_file.read_text().split()]
    assert len(pids) == 2
    wait_until(lambda: not any(map(processes.alive, pids)), 20, "the set-up to end")


@pytest.mark.parametrize(
    ("order", "times"),
    [
        ("monitoring ruff deployment", 2),
        ("monitoring deployment", 1),
        ("deployment monitoring ruff", 1),
    ],
)
def test_the_set_up_runs_in_the_background_only_before_its_section(
    checkout: Path, tmp_path: Path, order: str, times: int
) -> None:
    calls = tmp_path / "calls"
    make_section_wait_for(calls, checkout)
    # what it prints is evaluated: the section ends there
    write_program(tmp_path / "shared" / "vagrant-lab" / "setup", f"echo >>{calls}; echo exit 0")
    done = subprocess.run([".ci/run", *order.split()], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert calls.read_text().count("\n") == times
