"""The outbox's messages that an order waits for overtake the others.

Revision ID: gateway_0005
"""

from chassis.storage.migrations import tables

revision = "gateway_0005"
down_revision = "gateway_0004"


def upgrade() -> None:
    """Add the column, and an index with it."""
    tables.let_urgent_messages_pass()


def downgrade() -> None:
    """Treat all messages alike again."""
    tables.treat_all_messages_alike()
