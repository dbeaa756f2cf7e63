"""Messages of the outbox that an order waits for pass the others.

Revision ID: billing_0005
"""

from chassis.storage.migrations import tables

revision = "billing_0005"
down_revision = "billing_0004"


def upgrade() -> None:
    """Add the column, and an index that has it."""
    tables.let_urgent_messages_pass()


def downgrade() -> None:
    """Have all messages wait for each other again."""
    tables.treat_all_messages_alike()
