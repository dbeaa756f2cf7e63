"""Who takes part in the saga: the queues of inventory, billing and the mails, and their bindings.

Each participant declares its queue itself. Orders declares them, too, before it publishes: an event
for which a participant's queue is missing would be lost to that participant, though another queue
takes it.
"""

from chassis.messaging.topology import Binding, Queue, Topology, dead_letter_queue
from orders.events import EXCHANGE

INVENTORY, BILLING, MAIL = "inventory_inbox", "billing_inbox", "mail_inbox"
BILLS = "order_bills"
"""Where the bills of orders go: not behind those that clients post."""
_BOUND = {
    INVENTORY: ("order.created", "order.cancelled", "order.completed"),
    BILLING: ("order.cancelled",),
    MAIL: ("order.*",),
}
TOPOLOGY: Topology = (
    EXCHANGE,
    *(Queue(name) for queue in (*_BOUND, BILLS) for name in (queue, dead_letter_queue(queue))),
    *(Binding(queue, EXCHANGE.name, key) for queue, keys in _BOUND.items() for key in keys),
)
"""What must be there before orders publishes anything."""
