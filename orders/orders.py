"""Orders: what a person can do with them, each change with its event."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from psycopg2.errors import DeadlockDetected, UniqueViolation
from sqlalchemy import Connection, delete, func, insert, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from chassis.errors import ConflictError
from chassis.preconditions import Check
from chassis.storage.database import Database
from chassis.storage.idempotency_keys import RETENTION
from orders import deleted_orders, queries
from orders import status as states
from orders.events import announce
from orders.models import Order, OrderLine
from orders.queries import FoundOrder
from orders.transitions import Cause, move, note

_ATTEMPTS = 10  # to find an order_id that nobody has: the second one is needed once in a lifetime
_BY_HAND = "cancelled on request"
logger = logging.getLogger(__name__)


def readable_id() -> str:
    """Return a name for an order, such as `ORD-5F3A9C0B41D7`."""
    return f"ORD-{uuid4().hex[:12].upper()}"


@dataclass(frozen=True)
class Orders:
    """The orders of a database.

    Attributes:
        database: `orders_db`.
        new_order_id: names an order whose caller has not.
    """

    database: Database
    new_order_id: Callable[[], str] = readable_id

    def create(
        self,
        values: Mapping[str, Any],
        lines: Sequence[Mapping[str, Any]],
        cause: Cause,
        request_key: UUID | None = None,
    ) -> FoundOrder:
        """Store an order and return it.

        Args:
            values: `customer_id`, `total_amount`, `status`, and `order_id` or None.
            lines: what is ordered, none for a bare order.
            cause: who says so.
            request_key: the same at each repetition of a request, which then makes one order.

        Raises:
            ConflictError: another order has this `order_id`.
        """
        with self.database.unit_of_work() as connection:
            order_pk = self._insert(connection, values, request_key)
            if order_pk is None:
                return _earlier(connection, values["order_id"], request_key)
            _insert_lines(connection, order_pk, lines)
            note(connection, order_pk, None, values["status"], cause)
            order = queries.get(connection, order_pk)
            announce(connection, "order.created", order, cause.source)
            connection.commit()
        _log("order created", order)
        return order

    def _insert(
        self, connection: Connection, values: Mapping[str, Any], request_key: UUID | None
    ) -> int | None:
        """Insert an order; return its id, None if `order_id` or `request_key` are taken."""
        _forget(connection, request_key)
        given = values["order_id"]
        names = [given] if given is not None else [self.new_order_id() for _ in range(_ATTEMPTS)]
        for order_id in names:
            row = {**values, "order_id": order_id, "request_key": request_key}
            row["sweep_at"] = func.clock_timestamp()
            statement = postgresql.insert(Order).values(**row).on_conflict_do_nothing()
            order_pk = connection.execute(statement.returning(Order.id)).scalar()
            if order_pk is not None:
                return order_pk
        return None

    def change(
        self, order_pk: int, values: Mapping[str, Any], cause: Cause, check: Check | None = None
    ) -> FoundOrder:
        """Change `customer_id`, `order_id` or `total_amount` of a bare order and return it.

        `move` and `remove` take a `check`, too, which the order has to pass before.

        Raises:
            NotFoundError: there is none with this id.
            ConflictError: its items or its state forbid that; another order has this `order_id`.
        """
        with self.database.unit_of_work() as connection:
            _check_change(_checked(connection, order_pk, check), values)
            statement = update(Order).where(Order.id == order_pk).values(**values)
            with _unique_order_id():
                connection.execute(statement.values(updated_at=func.clock_timestamp()))
            order = queries.get(connection, order_pk)
            announce(connection, "order.updated", order, cause.source)
            connection.commit()
        _log("order updated", order)
        return order

    def move(
        self, order_pk: int, status: str, cause: Cause, check: Check | None = None
    ) -> FoundOrder:
        """Move an order to another state and return it; nothing happens if it is there already.

        Raises:
            NotFoundError: there is none with this id.
            ConflictError: that is not allowed; it says what is.
        """
        with self.database.unit_of_work() as connection:
            order = _checked(connection, order_pk, check)
            if order["status"] == status:
                return order
            _check_move(order, status)
            reason = _BY_HAND if status == "cancelled" else None
            moved = move(connection, order, status, cause, reason)
            connection.commit()
        return moved

    def remove(self, order_pk: int, cause: Cause, check: Check | None = None) -> FoundOrder:
        """Delete an order and return what it was.

        What inventory and billing have not confirmed of it is asked for all the same.

        Raises:
            NotFoundError: there is none with this id.
            ConflictError: it has items, and is still on its way.
        """
        with self.database.unit_of_work() as connection:
            order = _checked(connection, order_pk, check)
            if order["items"] and order["status"] not in states.FINAL:
                raise ConflictError(
                    f"An order with items that is {order['status']} can't be deleted: "
                    "cancel it first, or wait until it is completed."
                )
            deleted_orders.remember(connection, order)
            connection.execute(delete(Order).where(Order.id == order_pk))
            announce(connection, "order.deleted", order, cause.source)
            connection.commit()
        _log("order deleted", order)
        return order


def _checked(connection: Connection, order_pk: int, check: Check | None) -> FoundOrder:
    order = queries.locked(connection, order_pk)
    if check is not None:
        check(order)
    return order


def _forget(connection: Connection, request_key: UUID | None) -> None:
    """A key that is used again after it has expired makes another order."""
    if request_key is None:
        return
    old = update(Order).where(
        Order.request_key == request_key, Order.created_at < func.now() - RETENTION
    )
    connection.execute(old.values(request_key=None))


def _earlier(connection: Connection, order_id: str | None, request_key: UUID | None) -> FoundOrder:
    """Return the order that this request has made before; without one, the name was taken."""
    earlier = queries.of_request(connection, request_key) if request_key else None
    if earlier is not None:
        return earlier
    raise _taken(order_id)


def _taken(order_id: object) -> ConflictError:
    return ConflictError(f"Another order has the order_id {order_id!r} already.")


def _insert_lines(
    connection: Connection, order_pk: int, lines: Sequence[Mapping[str, Any]]
) -> None:
    if lines:
        rows = [{"order_pk": order_pk, **line} for line in lines]
        connection.execute(insert(OrderLine), rows)


def _check_change(order: FoundOrder, values: Mapping[str, Any]) -> None:
    if order["items"] or "items" in values:
        raise ConflictError(
            "Items never change, nor do the customer, order_id and amount of an order with items."
        )
    amount = values.get("total_amount", order["total_amount"])
    if amount != order["total_amount"] and order["status"] != "pending":
        raise ConflictError(
            f"The amount of an order changes only while it is pending; it is {order['status']}."
        )


def _check_move(order: FoundOrder, status: str) -> None:
    allowed = states.by_hand(order["status"], bool(order["items"]))
    if status in allowed:
        return
    which = "An order with items" if order["items"] else "An order"
    raise ConflictError(
        f"{which} that is {order['status']} can't be made {status} by hand; "
        f"allowed: {', '.join(allowed) or 'nothing'}."
    )


@contextmanager
def _unique_order_id() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        # two that want each other's name at once end in a deadlock, which PostgreSQL breaks
        if not isinstance(error.orig, UniqueViolation | DeadlockDetected):
            raise
        raise ConflictError("Another order has this order_id already.") from None


def _log(what: str, order: FoundOrder) -> None:
    logger.info(what, extra={"order_id": order["order_id"], "uid": str(order["uid"])})
