"""Names of the bills' queue, so that bills in a former one are found.

Revision ID: billing_0006
"""

import sqlalchemy as sa
from alembic import op

revision = "billing_0006"
down_revision = "billing_0005"


def upgrade() -> None:
    """Create the table; billing-consumer notes its queue when it starts."""
    op.create_table(
        "bill_queues",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column(
            "consumed_since",
            sa.DateTime(timezone=True),
            server_default=sa.func.now(),
            nullable=False,
        ),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("bill_queues")
