"""billing-relay: publishes the events of billing's outbox."""

import threading

from billing import bills
from billing.events import EXCHANGE
from billing.settings import Settings
from chassis import relay_process
from chassis.storage import inbox


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set, and delete expired rows."""
    expiries = [inbox.expiry(settings.retention), bills.expiry(settings.retention)]
    relay_process.run("billing-relay", settings, stop, EXCHANGE, expiries=expiries)
