"""`list` and `resend`: orders by hand, above all those that are stuck."""

import time
from datetime import timedelta

import click
from sqlalchemy import Connection

from chassis.cli import Command, echo, say_nothing_found
from chassis.printable import escaped_line
from chassis.storage.database import Database
from orders import deleted_orders, needs, queries, sweeping
from orders.settings import Settings, load
from orders.status import STATUSES


def _database(settings: Settings) -> Database:
    return Database(settings.database, connections=1)


@click.command("list", cls=Command, example="{} --stuck\n{} --status pending --limit 20")
@click.option("--stuck", is_flag=True, help="Only those whose step was sent again, in vain.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
def list_(stuck: bool, status: str | None, limit: int) -> None:
    """Show orders, the newest first: id, order_id, status, last change.

    With --stuck also how often the step was sent again, and who owes which answer; deleted orders
    that inventory or billing have not confirmed come last.
    """
    database = _database(load())
    with database.unit_of_work() as connection:
        if stuck:
            lines = _stuck_lines(connection, status, limit)
        else:
            with queries.find(connection, status=status, limit=limit) as found:
                lines = [_line(order) for order in found]
    database.close()
    if not lines:
        say_nothing_found(_none(stuck, status))
    for line in lines[:limit]:
        echo(escaped_line(line))


def _none(stuck: bool, status: str | None) -> str:
    kind = f"order in state {status}" if status else "order"
    return f"no {kind} is stuck" if stuck else f"there is no {kind}"


def _stuck_lines(connection: Connection, status: str | None, limit: int) -> list[str]:
    lines = []
    for lacking in needs.stuck(connection, status, limit):
        order = queries.get(connection, lacking.order_pk)
        lines.append(f"{_line(order)}  {_lacks(lacking, order['status'])}")
    for row, lacking in deleted_orders.stuck(connection, status, limit):
        status_then, deleted_at = row["status"], row["deleted_at"].isoformat(timespec="seconds")
        words = (str(row["order_pk"]), row["order_id"], status_then, f"deleted {deleted_at}")
        lines.append("  ".join((*words, _lacks(lacking, status_then))))
    return lines


def _lacks(lacking: needs.Needs, status: str) -> str:
    return f"sent again {lacking.resends} times  {lacking.words(status)}"


def _line(order: queries.FoundOrder) -> str:
    changed = order["updated_at"].isoformat(timespec="seconds")
    return "  ".join((str(order["id"]), order["order_id"], order["status"], changed))


@click.command("resend", cls=Command)
def resend() -> None:
    """Send again what each unsettled order waits for, now, without waiting for its time.

    Harmless to orders that are only on their way: nothing is done twice.
    """
    settings = load()
    database = _database(settings)
    pause = timedelta(seconds=settings.resend.resend_after_seconds)
    began, unsettled, is_done = time.monotonic(), 0, False
    while not is_done:
        # what was changed or sent again since the command began is not due
        age = timedelta(seconds=time.monotonic() - began)
        with database.unit_of_work() as connection:
            swept = sweeping.sweep(connection, age, pause)
            connection.commit()
        unsettled += swept.unsettled
        is_done = not (swept.settled or swept.unsettled)
    database.close()
    echo(f"sent again for {unsettled} orders")
