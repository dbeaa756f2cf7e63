"""Tables of orders, their lines and history, the outbox, the inbox and the idempotency keys.

Revision ID: orders_0001
"""

from alembic import op

from chassis.storage.migrations import tables

revision = "orders_0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    _create_orders()
    op.execute(
        """
        CREATE TABLE order_lines (
            order_pk bigint NOT NULL REFERENCES orders ON DELETE CASCADE,
            product_id bigint NOT NULL CHECK (product_id > 0),
            name varchar(255) NOT NULL,
            quantity integer NOT NULL CHECK (quantity > 0),
            unit_price numeric(12, 2) NOT NULL CHECK (unit_price >= 0),
            PRIMARY KEY (order_pk, product_id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE order_history (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            order_pk bigint NOT NULL REFERENCES orders ON DELETE CASCADE,
            from_status text,
            to_status text NOT NULL,
            at timestamptz NOT NULL DEFAULT clock_timestamp(),
            cause text NOT NULL,
            message_id text
        )
        """
    )
    op.execute("CREATE INDEX order_history_order ON order_history (order_pk, id)")
    tables.create_outbox()
    tables.create_inbox()
    tables.create_idempotency_keys()


def _create_orders() -> None:
    op.execute(
        """
        CREATE TABLE orders (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            uid uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT orders_uid_unique UNIQUE,
            order_id varchar(50) NOT NULL CONSTRAINT orders_order_id_unique UNIQUE
                CHECK (length(order_id) > 0),
            customer_id varchar(50) NOT NULL CHECK (length(customer_id) > 0),
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            status text NOT NULL DEFAULT 'pending'
                CHECK (status IN ('pending', 'processing', 'completed', 'cancelled')),
            total_amount numeric(12, 2) NOT NULL CHECK (total_amount >= 0),
            reason text,
            request_key uuid
        )
        """
    )
    # for pages of filtered orders, newest first; the last index finds a repeated request's order
    op.execute("CREATE INDEX orders_status ON orders (status, id)")
    op.execute("CREATE INDEX orders_customer ON orders (customer_id, id)")
    op.execute("CREATE INDEX orders_created ON orders (created_at)")
    op.execute(
        "CREATE UNIQUE INDEX orders_request_key ON orders (request_key) "
        "WHERE request_key IS NOT NULL"
    )


def downgrade() -> None:
    """Drop the tables."""
    op.execute("DROP TABLE order_history, order_lines, orders, outbox, inbox, idempotency_keys")
    op.execute("DROP FUNCTION wake_relay")
