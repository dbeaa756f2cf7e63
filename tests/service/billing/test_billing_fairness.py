"""In billing's outbox no order waits behind the bills of clients."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from uuid import uuid4

from sqlalchemy import text

from billing.consumer import PROCESS
from billing.events import EXCHANGE
from billing.handlers.bill_recorder import BillHandler, ReceivedBill
from billing.handlers.order_cancelled import REACTIONS
from billing.schemas import BillMessage, CancelledOrder
from chassis import trace
from chassis.messaging.declarations import of_exchange
from chassis.messaging.event_handler import EventHandler, ReceivedEvent
from chassis.settings import BrokerSettings, DatabaseSettings
from chassis.storage.database import Database
from tests.support.amqp import connect
from tests.support.at_work import at_work
from tests.support.relaying import relay_until
from tools.stack.waiting import wait_until

SECONDS = 90.0
CLIENTS, PIECE = 4000, 1000
INBOX = "orders_inbox"


def bill(message_id: str) -> ReceivedBill:
    """A bill as it came in a message."""
    read = BillMessage(user_id="usr_1", number_of_items=1, total_amount=Decimal("9.99"))
    return ReceivedBill(message_id, read, trace.continued({}))


def count(database: Database, condition: str) -> int:
    """How many messages of the outbox are so."""
    with database.autocommit() as connection:
        found = connection.execute(text(f"SELECT count(*) FROM outbox WHERE {condition}"))
        return int(found.scalar_one())


def taken(broker: BrokerSettings) -> list[str]:
    """The types of the events that orders has got."""
    with connect(broker) as connection:
        channel = connection.channel()
        got = iter(lambda: channel.basic_get(INBOX, auto_ack=True), (None, None, None))
        return [str(properties.message_id) for _method, properties, _body in got if properties]


def test_messages_of_an_order_overtake_the_events_of_clients_bills(
    billing_db: Database,
    database_settings: Callable[[str], DatabaseSettings],
    broker_settings: BrokerSettings,
) -> None:
    with connect(broker_settings) as connection:
        channel = connection.channel()
        channel.queue_declare(INBOX, durable=True, arguments={"x-queue-type": "quorum"})
        channel.queue_purge(INBOX)
    clients = BillHandler(billing_db)
    for start in range(0, CLIENTS, PIECE):
        clients.apply([bill(f"client-{number}") for number in range(start, start + PIECE)])
    recorded, cancelled = uuid4(), uuid4()
    BillHandler(billing_db, of_orders=True).apply([bill(str(recorded)), bill(str(cancelled))])
    reaction = REACTIONS["order.cancelled"]
    event = ReceivedEvent(
        str(uuid4()),
        "order.cancelled",
        CancelledOrder(uid=cancelled),
        reaction,
        trace.continued({}),
    )
    EventHandler(billing_db, PROCESS, REACTIONS).apply([event])
    # two that are recorded, each told to orders and to all, and one that is void
    assert count(billing_db, "urgent") == 3
    assert count(billing_db, "NOT urgent") == CLIENTS + 2
    topology = of_exchange(EXCHANGE, broker_settings)
    relay = partial(relay_until, database_settings("billing"), broker_settings, topology)
    with at_work(relay):
        wait_until(lambda: not count(billing_db, "urgent AND sent_at IS NULL"), SECONDS, "orders'")
    last = "(SELECT max(sent_at) FROM outbox WHERE urgent)"
    assert count(billing_db, f"sent_at IS NULL OR sent_at > {last}") > CLIENTS // 2
    assert len(taken(broker_settings)) == 3
