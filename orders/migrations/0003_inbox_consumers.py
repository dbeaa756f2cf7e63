"""The inbox marks a message for each consumer.

Revision ID: orders_0003
"""

from chassis.storage.migrations import tables

revision = "orders_0003"
down_revision = "orders_0002"


def upgrade() -> None:
    """Make the consumer a part of the inbox's key."""
    tables.mark_by_consumer("orders-consumer", "mail-worker")


def downgrade() -> None:
    """Make the message the whole key again."""
    tables.unmark_consumers("orders-consumer")
