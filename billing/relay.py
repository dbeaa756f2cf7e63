"""billing-relay: the events that wait in billing's outbox go to the broker."""

import threading

from billing import bills
from billing.events import EXCHANGE
from billing.settings import Settings
from chassis import inbox, worker
from chassis.publisher import Publisher
from chassis.relay import Relay

PROCESS = "billing-relay"


def run(settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set; delete what inbox and notes need no longer hold."""
    publisher = Publisher(settings.broker, PROCESS, [EXCHANGE])
    publisher.start()
    relay = Relay(settings.database, publisher, stop, [inbox.purge, bills.purge_notes])
    worker.serve_health(PROCESS, [relay, publisher], settings.server, settings.relay_port)
    relay.run()
    publisher.close()
