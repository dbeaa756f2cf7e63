"""The copy of the customers knows of which version it is.

Revision ID: orders_0008
"""

from alembic import op

revision = "orders_0008"
down_revision = "orders_0007"


def upgrade() -> None:
    """Add the version; NULL where an older event or an answer of the API says what is known."""
    op.execute("ALTER TABLE customers ADD COLUMN version bigint")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE customers DROP COLUMN version")
