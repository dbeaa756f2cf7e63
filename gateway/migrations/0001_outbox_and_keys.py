"""The gateway's outbox and idempotency keys.

Revision ID: gateway_0001
"""

from alembic import op

from chassis.storage.migrations import tables

revision = "gateway_0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    tables.create_outbox()
    tables.create_idempotency_keys()


def downgrade() -> None:
    """Drop the tables."""
    op.execute("DROP TABLE outbox, idempotency_keys")
    op.execute("DROP FUNCTION wake_relay")
