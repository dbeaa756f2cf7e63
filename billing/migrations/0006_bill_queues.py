"""Names of the bills' queue, so that what waits under a former one is known.

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
    """Forget the names."""
    op.drop_table("bill_queues")
