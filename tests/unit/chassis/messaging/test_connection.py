"""Connections to RabbitMQ at the moments at which they begin and end."""

import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from chassis.messaging.connection import BrokerConnection
from chassis.settings import BrokerSettings
from gateway.status.probe import ProbeError
from gateway.status.queues import QueueProbe

SECONDS = 30.0
NOBODY: Any = SimpleNamespace(
    opened=lambda _channel: None, lost=lambda _reason: None, blocked=lambda _reason: None
)


def settings(port: int) -> BrokerSettings:
    """A broker at a port of this machine."""
    password = SecretStr("none")
    return BrokerSettings(
        host="127.0.0.1", port=port, user="none", password=password, vhost="v", queue="q"
    )


class Opened:
    """What pika has connected, and its loop; it stays until somebody closes it."""

    is_closing = is_closed = False

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.ioloop = SimpleNamespace(start=lambda: self.closed.wait(SECONDS), close=lambda: None)

    def close(self) -> None:
        """End."""
        self.closed.set()


def test_a_connection_opened_during_the_stop_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = Opened()

    def made_too_late(own: BrokerConnection) -> Opened:
        closer = threading.Thread(target=own.close, args=(0,))
        closer.start()
        closer.join()
        return opened

    monkeypatch.setattr(BrokerConnection, "_new", made_too_late)
    connection = BrokerConnection(settings(1), "test", [], NOBODY)
    connection.start()
    assert opened.closed.wait(SECONDS)


def test_queues_are_not_read_on_a_closing_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def called(_own: BrokerConnection, action: Any) -> None:
        action()

    monkeypatch.setattr(BrokerConnection, "call", called)
    watch = QueueProbe(settings(1), ["billing_queue"])
    closing: Any = SimpleNamespace(is_open=False)
    watch.opened(closing)
    with caplog.at_level(logging.INFO), pytest.raises(ProbeError):
        watch.read()
