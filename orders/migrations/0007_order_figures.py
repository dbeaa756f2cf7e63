"""Triggers keep the figures of all orders, so that no query scans the orders for them.

Revision ID: orders_0007
"""

from alembic import op

revision = "orders_0007"
down_revision = "orders_0006"
_OF_NEW = "SELECT status, 1 AS count, total_amount AS amount FROM new_orders"
_OF_OLD = "SELECT status, -1 AS count, -total_amount AS amount FROM old_orders"
_EVENTS = {
    "INSERT": (_OF_NEW, "REFERENCING NEW TABLE AS new_orders"),
    "UPDATE": (
        f"{_OF_OLD} UNION ALL {_OF_NEW}",
        "REFERENCING OLD TABLE AS old_orders NEW TABLE AS new_orders",
    ),
    "DELETE": (_OF_OLD, "REFERENCING OLD TABLE AS old_orders"),
}


def upgrade() -> None:
    """Create the table and its triggers, and count the existing orders.

    Each statement that changes orders inserts rows and updates none, so that writers never wait for
    each other. orders-relay replaces the rows by their sums from time to time.
    """
    op.execute(
        """
        CREATE TABLE order_figures (
            status text NOT NULL,
            count bigint NOT NULL,
            amount numeric(20, 2) NOT NULL
        )
        """
    )
    for operation, (changes, tables) in _EVENTS.items():
        _trigger(
            operation,
            f"INSERT INTO order_figures SELECT status, sum(count), sum(amount) FROM ({changes}) "
            "AS changes GROUP BY status HAVING sum(count) <> 0 OR sum(amount) <> 0",
            tables,
        )
    _trigger("TRUNCATE", "DELETE FROM order_figures")
    # creating the triggers has locked the table: each order is counted exactly once
    op.execute(
        "INSERT INTO order_figures "
        "SELECT status, count(*), sum(total_amount) FROM orders GROUP BY status"
    )


def _trigger(operation: str, statement: str, tables: str = "") -> None:
    function = f"count_{operation.lower()}"
    op.execute(
        f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {statement}; RETURN NULL; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {function} AFTER {operation} ON orders {tables} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
    )


def downgrade() -> None:
    """Drop the triggers and the table."""
    for operation in (*_EVENTS, "TRUNCATE"):
        op.execute(f"DROP TRIGGER count_{operation.lower()} ON orders")
        op.execute(f"DROP FUNCTION count_{operation.lower()}")
    op.execute("DROP TABLE order_figures")
