"""What follows from a restore of orders_db: the sweeper requests again what orders wait for."""

from sqlalchemy import Connection, text

# after vain repetitions the next one may be far off
_DUE = [
    text(
        f"UPDATE {table} SET sweep_at = least(sweep_at, now()), resends = 0 "
        "WHERE sweep_at IS NOT NULL"
    )
    for table in ("orders", "deleted_orders")
]


def sentences(connection: Connection) -> list[str]:
    """Have every unfinished order examined soon; return what to tell whoever restored them."""
    unfinished = sum(connection.execute(statement).rowcount for statement in _DUE)
    if not unfinished:
        return ["orders: all orders are finished."]
    number = "1 order is" if unfinished == 1 else f"{unfinished} orders are"
    return [f"orders: {number} unfinished; what each waits for is requested again."]
