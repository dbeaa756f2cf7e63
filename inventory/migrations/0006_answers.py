"""Reservations hold everything that is needed to answer an order's event again.

Revision ID: inventory_0006
"""

from alembic import op

revision = "inventory_0006"
down_revision = "inventory_0005"


def upgrade() -> None:
    """Add the shortages, and whether a cancellation has arrived."""
    op.execute("ALTER TABLE reservations ADD COLUMN short jsonb")
    op.execute("ALTER TABLE reservations ADD COLUMN cancelled boolean NOT NULL DEFAULT false")
    op.execute("UPDATE reservations SET cancelled = true WHERE state IN ('released', 'cancelled')")


def downgrade() -> None:
    """Drop both columns."""
    op.execute("ALTER TABLE reservations DROP COLUMN short, DROP COLUMN cancelled")
