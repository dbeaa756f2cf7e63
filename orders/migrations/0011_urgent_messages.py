"""Urgent messages of the outbox, which an order waits for, overtake the others.

Revision ID: orders_0011
"""

from chassis.storage.migrations import tables

revision = "orders_0011"
down_revision = "orders_0010"


def upgrade() -> None:
    """Add the column and its index."""
    tables.let_urgent_messages_pass()


def downgrade() -> None:
    """Drop them: all messages go in sequence again."""
    tables.treat_all_messages_alike()
