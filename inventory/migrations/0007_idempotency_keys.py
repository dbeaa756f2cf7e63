"""Answers to requests with an Idempotency-Key are stored.

Revision ID: inventory_0007
"""

from alembic import op

from chassis.storage.migrations import tables

revision = "inventory_0007"
down_revision = "inventory_0006"


def upgrade() -> None:
    """Create the table of keys."""
    tables.create_idempotency_keys()


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE idempotency_keys")
