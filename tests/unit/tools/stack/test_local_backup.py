"""A restore that is interrupted starts again what it has stopped."""

import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from tools.stack import backup
from tools.stack.backup import StackPlatform
from tools.stack.pm2 import Entry
from tools.stack.stack import Stack

SIGNS = (signal.SIGTERM, signal.SIGHUP)


class Manager:
    """A PM2 with one process of billing; its user ends the command while PM2 stops it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def entries(self) -> list[Entry]:
        """What it manages."""
        return [Entry("billing-consumer", 1, "online", 0, 0, 0.0)]

    def call(self, verb: str, *_names: str) -> None:
        """Note a call."""
        self.calls.append(verb)
        if verb == "stop":
            raise KeyboardInterrupt


def test_processes_are_started_again_though_ctrl_c_comes_while_they_stop() -> None:
    manager = Manager()
    platform = StackPlatform(cast(Stack, SimpleNamespace(process_manager=manager)))
    with pytest.raises(KeyboardInterrupt), platform.stopped(["billing"]):
        raise AssertionError
    assert manager.calls == ["stop", "restart"]


@pytest.fixture
def handlers() -> Iterator[None]:
    """The handlers of signals are afterwards what they were."""
    former = {sign: signal.getsignal(sign) for sign in SIGNS}
    yield
    for sign, handler in former.items():
        signal.signal(sign, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.name)
def test_a_restore_that_is_told_to_end_cleans_up(
    monkeypatch: pytest.MonkeyPatch, sign: signal.Signals
) -> None:
    cleaned: list[bool] = []

    def work(*_arguments: object) -> None:
        try:
            os.kill(os.getpid(), sign)
        finally:
            cleaned.append(True)

    monkeypatch.setattr("chassis.backup.work.restore", work)
    for each in SIGNS:
        # as pytest would end by it without a handler
        signal.signal(each, signal.SIG_IGN)
    with pytest.raises(SystemExit):
        backup.restore(cast(Stack, None), "monday", [], False, lambda text: None)
    assert cleaned == [True]
