"""Inventory confirms completed orders; deleted orders are kept until they are confirmed.

Revision ID: orders_0010
"""

from alembic import op

revision = "orders_0010"
down_revision = "orders_0009"


def upgrade() -> None:
    """Add the column and the tables.

    Orders that were completed before are not changed, since they may be many: `unconfirmed_sales`
    has the id after which the sweeper continues to request their sales.
    """
    op.execute("ALTER TABLE orders ADD COLUMN stock_sold_at timestamptz")
    op.execute(
        "CREATE INDEX orders_stuck ON orders (id) WHERE sweep_at IS NOT NULL AND resends > 0"
    )
    op.execute("CREATE TABLE unconfirmed_sales (after_id bigint NOT NULL)")
    op.execute(
        "INSERT INTO unconfirmed_sales "
        "SELECT 0 WHERE EXISTS (SELECT FROM orders WHERE status = 'completed')"
    )
    op.execute(
        """
        CREATE TABLE deleted_orders (
            uid uuid PRIMARY KEY,
            order_pk bigint NOT NULL,
            order_id varchar(50) NOT NULL,
            status text NOT NULL CHECK (status IN ('completed', 'cancelled')),
            data bytea NOT NULL,
            stock_owed boolean NOT NULL,
            bill_owed boolean NOT NULL,
            request_id text,
            deleted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            sweep_at timestamptz NOT NULL,
            resends integer NOT NULL DEFAULT 0,
            CHECK (stock_owed OR bill_owed)
        )
        """
    )
    op.execute("CREATE INDEX deleted_orders_sweep ON deleted_orders (sweep_at)")
    op.execute("CREATE INDEX deleted_orders_stuck ON deleted_orders (order_pk) WHERE resends > 0")


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE deleted_orders, unconfirmed_sales")
    op.execute("DROP INDEX orders_stuck")
    op.execute("ALTER TABLE orders DROP COLUMN stock_sold_at")
