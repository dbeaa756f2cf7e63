"""Events that other systems have put on the bus; the outbox knows aggregates and attempts.

Revision ID: gateway_0002
"""

from alembic import op

revision = "gateway_0002"
down_revision = "gateway_0001"


def upgrade() -> None:
    """Create the table."""
    # a database that begins with this revision has them already
    op.execute("ALTER TABLE outbox ADD COLUMN IF NOT EXISTS aggregate text")
    op.execute("ALTER TABLE outbox ADD COLUMN IF NOT EXISTS attempts integer NOT NULL DEFAULT 0")


def downgrade() -> None:
    """Drop the table."""
    op.execute("ALTER TABLE outbox DROP COLUMN aggregate, DROP COLUMN attempts")
