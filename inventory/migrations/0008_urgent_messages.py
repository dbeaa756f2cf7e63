"""The outbox's messages that an order waits for overtake the others.

Revision ID: inventory_0008
"""

from chassis.storage.migrations import tables

revision = "inventory_0008"
down_revision = "inventory_0007"


def upgrade() -> None:
    """Add the column, and an index with it."""
    tables.let_urgent_messages_pass()


def downgrade() -> None:
    """Treat all messages alike again."""
    tables.treat_all_messages_alike()
