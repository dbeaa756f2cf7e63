"""Urgent messages of the outbox, which an order waits for, overtake the others.

Revision ID: customers_0005
"""

from chassis.storage.migrations import tables

revision = "customers_0005"
down_revision = "customers_0004"


def upgrade() -> None:
    """Add the column and its index."""
    tables.let_urgent_messages_pass()


def downgrade() -> None:
    """Drop them: all messages go in sequence again."""
    tables.treat_all_messages_alike()
