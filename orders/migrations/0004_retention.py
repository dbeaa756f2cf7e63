"""Settled mails expire by age.

Revision ID: orders_0004
"""

from alembic import op

revision = "orders_0004"
down_revision = "orders_0003"


def upgrade() -> None:
    """Create the index of settled mails."""
    op.execute(
        "CREATE INDEX mails_settled ON mails (recorded_at) "
        "WHERE state NOT IN ('unaddressed', 'waiting')"
    )


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP INDEX mails_settled")
