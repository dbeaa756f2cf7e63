"""What a restore on a machine does with PM2's unit; a script stands for systemctl."""

from pathlib import Path

import pytest

from chassis.backup.errors import BackupError
from chassis.backup.machine import MachinePlatform

SYSTEMCTL = """#!/bin/sh
echo "$1" >>{calls}
case $1 in
  is-active) cat {state}; grep -q '^active$' {state} ;;
  stop) {stop} ;;
esac
"""


class Machine:
    """A machine whose unit is in some state; `calls` is what systemctl was told to do."""

    def __init__(self, home: Path, state: str, stop: str) -> None:
        self._calls = home / "calls"
        (home / "state").write_text(f"{state}\n")
        script = SYSTEMCTL.format(calls=self._calls, state=home / "state", stop=stop)
        (home / "systemctl").write_text(script)
        (home / "systemctl").chmod(0o700)
        self.platform = MachinePlatform("billing")

    def calls(self) -> list[str]:
        """The verbs that change the unit."""
        return [verb for verb in self._calls.read_text().split() if verb != "is-active"]


def machine(home: Path, monkeypatch: pytest.MonkeyPatch, state: str, stop: str = "true") -> Machine:
    """A machine with this state of its unit, on which `stop` stops it."""
    monkeypatch.setenv("PATH", str(home), prepend=":")
    return Machine(home, state, stop)


@pytest.mark.parametrize("state", ["active", "activating", "reloading", "deactivating"])
def test_a_unit_that_has_processes_or_gets_them_is_stopped_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    one = machine(tmp_path, monkeypatch, state)
    with one.platform.stopped(["billing"]):
        assert one.calls() == ["stop"]
    assert one.calls() == ["stop", "start"]


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_a_unit_that_does_not_run_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    one = machine(tmp_path, monkeypatch, state)
    with one.platform.stopped(["billing"]):
        pass
    assert one.calls() == []


def test_a_unit_is_started_again_though_its_stop_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = machine(tmp_path, monkeypatch, "active", stop="echo canceled >&2; exit 1")
    failed = pytest.raises(BackupError, match=r"stop crud-master\.service failed: canceled")
    with failed, one.platform.stopped(["billing"]):
        raise AssertionError
    assert one.calls() == ["stop", "start"]
