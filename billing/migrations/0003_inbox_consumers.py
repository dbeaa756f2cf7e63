"""The inbox marks a message for each consumer.

Revision ID: billing_0003
"""

from chassis.storage.migrations import tables

revision = "billing_0003"
down_revision = "billing_0002"


def upgrade() -> None:
    """Add the consumer to the inbox's key."""
    tables.mark_by_consumer("billing-consumer")


def downgrade() -> None:
    """Make the message alone the key again."""
    tables.unmark_consumers("billing-consumer")
