"""Voided bills, and the outbox and inbox of billing's events.

Revision ID: billing_0002
"""

from alembic import op

from chassis.storage.migrations import tables

revision = "billing_0002"
down_revision = "billing_0001"


def upgrade() -> None:
    """Let bills be voided, also before they arrive; add outbox and inbox."""
    op.execute("ALTER TABLE orders ADD COLUMN voided_at timestamptz")
    op.execute(
        "CREATE INDEX orders_of_order ON orders (order_id, id DESC) WHERE order_id IS NOT NULL"
    )
    op.execute(
        """
        CREATE TABLE voided_bills (
            message_id text PRIMARY KEY,
            voided_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )
    op.execute("CREATE INDEX voided_bills_voided ON voided_bills (voided_at)")
    tables.create_outbox()
    tables.create_inbox()


def downgrade() -> None:
    """Drop all of it: which bills are void, and the messages of outbox and inbox."""
    op.execute("DROP TABLE voided_bills, outbox, inbox")
    op.execute("DROP FUNCTION wake_relay")
    op.execute("DROP INDEX orders_of_order")
    op.execute("ALTER TABLE orders DROP COLUMN voided_at")
