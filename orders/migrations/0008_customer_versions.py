"""The customer replica has the version of each customer.

Revision ID: orders_0008
"""

from alembic import op

revision = "orders_0008"
down_revision = "orders_0007"


def upgrade() -> None:
    """Add the version; it is NULL in rows from events or answers of an earlier release."""
    op.execute("ALTER TABLE customers ADD COLUMN version bigint")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE customers DROP COLUMN version")
