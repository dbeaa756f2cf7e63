"""Messages of the outbox that an order waits for pass the others.

Revision ID: orders_0011
"""

from chassis.storage.migrations import tables

revision = "orders_0011"
down_revision = "orders_0010"


def upgrade() -> None:
    """Add the column, and an index that has it."""
    tables.let_urgent_messages_pass()


def downgrade() -> None:
    """Have all messages wait for each other again."""
    tables.treat_all_messages_alike()
