"""The inbox marks a message for each consumer.

Revision ID: inventory_0003
"""

from chassis.storage.migrations import tables

revision = "inventory_0003"
down_revision = "inventory_0002"


def upgrade() -> None:
    """Add the consumer to the inbox's key."""
    tables.mark_by_consumer("inventory-consumer")


def downgrade() -> None:
    """Make the message alone the key again."""
    tables.unmark_consumers("inventory-consumer")
