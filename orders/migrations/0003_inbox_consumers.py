"""The inbox records a message for each consumer.

Revision ID: orders_0003
"""

from chassis.storage.migrations import tables

revision = "orders_0003"
down_revision = "orders_0002"


def upgrade() -> None:
    """Add the consumer to the key of the inbox."""
    tables.mark_by_consumer("orders-consumer", "mail-worker")


def downgrade() -> None:
    """Remove the consumer from the key."""
    tables.unmark_consumers("orders-consumer")
