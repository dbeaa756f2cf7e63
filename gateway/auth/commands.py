"""The commands `token create`, `token list` and `token revoke`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import click
from sqlalchemy import Connection

from chassis.cli import Group, echo
from chassis.columns import aligned
from chassis.errors import ConflictError, InvalidError, NotFoundError
from chassis.printable import escaped_line
from chassis.storage.database import Database
from gateway.auth import scopes, tokens
from gateway.settings import load

_LIFETIME = re.compile(r"([0-9]{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=36_500)
_HEADINGS = ("NAME", "SCOPES", "CREATED", "EXPIRES", "STATE")


class Scopes(click.ParamType[list[str]]):
    """A comma-separated list of scopes."""

    name = "CLASS:read|write,…"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        """Read the list."""
        try:
            return scopes.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Lifetime(click.ParamType[timedelta]):
    """A time from now: a number and m, h, d or w."""

    name = "LIFETIME"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read the number and its unit."""
        found = _LIFETIME.fullmatch(value.strip().lower())
        lifetime = found and timedelta(**{_UNITS[found[2]]: int(found[1])})
        if not lifetime or lifetime > _LONGEST:
            detail = "must be a time such as 90m, 12h, 30d or 4w, up to 100 years"
            self.fail(f"'{value}' {detail}", param, ctx)
        return lifetime


@click.group(cls=Group)
def token() -> None:
    """Create, list and revoke the tokens that identify callers."""


@token.command(example="{} --name shop --scope orders:read,orders:write --expires 30d")
@click.option("--name", required=True, help="Its holder, as the services get it.")
@click.option(
    "--scope",
    "scope",
    type=Scopes(),
    required=True,
    help=f"Its scopes; classes are {', '.join(scopes.CLASSES)}, and all for every class.",
)
@click.option(
    "--expires", type=Lifetime(), help="Time until it expires: 90m, 12h, 30d, 4w; else never."
)
def create(name: str, scope: list[str], expires: timedelta | None) -> None:
    """Create a token and print it, only this once: only its hash is stored."""
    with _transaction() as connection:
        created = tokens.create(connection, name, scope, expires)
    echo(created)
    echo(f"token {name}: {', '.join(scope)}; shown only now, so keep it safe", err=True)


@token.command("list")
def list_() -> None:
    """List tokens, one a line: name, scopes, creation time, expiry time, state."""
    with _transaction() as connection:
        lines = [_HEADINGS, *map(_line, tokens.find_all(connection))]
    echo(aligned([[escaped_line(cell) for cell in line] for line in lines]))


@token.command(example="{} shop")
@click.argument("name")
def revoke(name: str) -> None:
    """Revoke a token at once."""
    with _transaction() as connection:
        tokens.revoke(connection, name)
    echo(f"revoked {name}")


@contextmanager
def _transaction() -> Iterator[Connection]:
    """Lend a connection; turn errors into one-line messages."""
    database = Database(load().database, connections=1)
    try:
        with database.transaction() as connection:
            yield connection
    except InvalidError as error:
        raise click.UsageError(str(error)) from None
    except (ConflictError, NotFoundError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        database.close()


def _line(row: tokens.TokenView) -> tuple[str, ...]:
    expires = _time(row["expires_at"]) if row["expires_at"] else "never"
    return row["name"], ",".join(row["scopes"]), _time(row["created_at"]), expires, row["state"]


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
