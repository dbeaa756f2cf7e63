"""Reservations end when their orders are completed, and are purged by their age.

Revision ID: inventory_0004
"""

from alembic import op

revision = "inventory_0004"
down_revision = "inventory_0003"
_STATES = "ALTER TABLE reservations DROP CONSTRAINT reservations_state_check, ADD CHECK (state IN "


def upgrade() -> None:
    """Add the state `completed`, and an index for each age at which reservations are purged."""
    op.execute(f"{_STATES} ('reserved', 'rejected', 'released', 'cancelled', 'completed'))")
    op.execute(
        "CREATE INDEX reservations_ended ON reservations (updated_at) "
        "WHERE state IN ('rejected', 'released', 'completed')"
    )
    op.execute(
        "CREATE INDEX reservations_cancelled ON reservations (updated_at) WHERE state = 'cancelled'"
    )


def downgrade() -> None:
    """Drop the state `completed`."""
    op.execute("DROP INDEX reservations_ended, reservations_cancelled")
    op.execute("UPDATE reservations SET state = 'reserved' WHERE state = 'completed'")
    op.execute(f"{_STATES} ('reserved', 'rejected', 'released', 'cancelled'))")
