"""The participants of the saga: the queues of inventory, billing and the mails, and their bindings.

Each participant declares its own queue. Orders declares them too, before it publishes: while a
participant's queue is missing, an event would be lost to it, although another queue accepts it.
"""

from chassis.messaging.declarations import Binding, Queue, Topology, dead_letter_queue
from orders.events import EXCHANGE

INVENTORY, BILLING, MAIL = "inventory_inbox", "billing_inbox", "mail_inbox"
BILLS = "order_bills"
"""The queue for the bills of orders, apart from the bills that clients post."""
_KEYS = {
    INVENTORY: ("order.created", "order.cancelled", "order.completed"),
    BILLING: ("order.cancelled",),
    MAIL: ("order.*",),
}
TOPOLOGY: Topology = (
    EXCHANGE,
    *(Queue(name) for queue in (*_KEYS, BILLS) for name in (queue, dead_letter_queue(queue))),
    *(Binding(queue, EXCHANGE.name, key) for queue, keys in _KEYS.items() for key in keys),
)
"""What must exist before orders publishes anything."""
