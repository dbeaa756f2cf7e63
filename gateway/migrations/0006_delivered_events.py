"""Only so many delivered events are kept; an index counts them.

Revision ID: gateway_0006
"""

from alembic import op

revision = "gateway_0006"
down_revision = "gateway_0005"


def upgrade() -> None:
    """Add the index."""
    op.execute(
        "CREATE INDEX events_delivered ON events (event_timestamp) WHERE delivered_at IS NOT NULL"
    )


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP INDEX events_delivered")
