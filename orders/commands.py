"""`list` and `resend`: for operators, above all of stuck orders."""

import time
from datetime import timedelta

import click
from sqlalchemy import Connection

from chassis.cli import Command, echo, say_nothing_found
from chassis.printable import escaped_line
from chassis.storage.database import Database
from orders import deleted_orders, queries
from orders.allowed_transitions import STATUSES
from orders.settings import Settings, load
from orders.sweeping import needs, resending


def _database(settings: Settings) -> Database:
    return Database(settings.database, connections=1)


@click.command("list", cls=Command, example="{} --stuck\n{} --status pending --limit 20")
@click.option(
    "--stuck", is_flag=True, help="Only those whose requests were sent again without an answer."
)
@click.option("--status", type=click.Choice(STATUSES), help="Only orders in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
def list_(stuck: bool, status: str | None, limit: int) -> None:
    """List orders, the newest first: id, order_id, status, last change.

    With --stuck also how often the request was sent again, and who owes which answer; deleted
    orders that inventory or billing have not confirmed come last.
    """
    database = _database(load())
    with database.transaction() as connection:
        if stuck:
            lines = _stuck_lines(connection, status, limit)
        else:
            with queries.find(connection, status=status, limit=limit) as found:
                lines = [_line(order) for order in found]
    database.close()
    if not lines:
        say_nothing_found(_none_found(stuck, status))
    for line in lines[:limit]:
        echo(escaped_line(line))


def _none_found(stuck: bool, status: str | None) -> str:
    kind = f"order in state {status}" if status else "order"
    return f"no {kind} is stuck" if stuck else f"there is no {kind}"


def _stuck_lines(connection: Connection, status: str | None, limit: int) -> list[str]:
    lines = []
    for missing in needs.stuck(connection, status, limit):
        order = queries.get(connection, missing.order_pk)
        lines.append(f"{_line(order)}  {_missing(missing, order['status'])}")
    for gone in deleted_orders.stuck(connection, status, limit):
        deleted_at = gone.deleted_at.isoformat(timespec="seconds")
        words = (str(gone.order_pk), gone.order_id, gone.status, f"deleted {deleted_at}")
        lines.append("  ".join((*words, _missing(gone.needs, gone.status))))
    return lines


def _missing(missing: needs.Needs, status: str) -> str:
    return f"sent again {missing.resends} times  {missing.describe(status)}"


def _line(order: queries.OrderView) -> str:
    changed = order["updated_at"].isoformat(timespec="seconds")
    return "  ".join((str(order["id"]), order["order_id"], order["status"], changed))


@click.command("resend", cls=Command)
def resend() -> None:
    """Send again at once what each unsettled order waits for.

    Harmless for orders that are in progress: nothing is done twice.
    """
    settings = load()
    database = _database(settings)
    pause = timedelta(seconds=settings.resend.resend_after_seconds)
    began, unsettled, is_done = time.monotonic(), 0, False
    while not is_done:
        # an order that was changed or sent again since the command began is not due
        age = timedelta(seconds=time.monotonic() - began)
        with database.transaction() as connection:
            swept = resending.sweep(connection, age, pause)
        unsettled += swept.unsettled
        is_done = not (swept.settled or swept.unsettled)
    database.close()
    echo(f"sent again for {unsettled} orders")
