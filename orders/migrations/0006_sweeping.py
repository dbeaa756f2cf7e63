"""When an order is swept, and which confirmations a cancelled one has.

Revision ID: orders_0006
"""

from alembic import op

revision = "orders_0006"
down_revision = "orders_0005"


def upgrade() -> None:
    """Add the columns; unsettled orders with items are swept from now on."""
    op.execute(
        """
        ALTER TABLE orders
            ADD COLUMN sweep_at timestamptz,
            ADD COLUMN resends integer NOT NULL DEFAULT 0,
            ADD COLUMN stock_freed_at timestamptz,
            ADD COLUMN bill_voided_at timestamptz
        """
    )
    op.execute("CREATE INDEX orders_sweep ON orders (sweep_at) WHERE sweep_at IS NOT NULL")
    op.execute(
        """
        UPDATE orders SET sweep_at = now()
        WHERE status IN ('pending', 'processing')
            AND EXISTS (SELECT FROM order_lines WHERE order_pk = orders.id)
        """
    )


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP INDEX orders_sweep")
    op.execute(
        """
        ALTER TABLE orders DROP COLUMN sweep_at, DROP COLUMN resends,
            DROP COLUMN stock_freed_at, DROP COLUMN bill_voided_at
        """
    )
