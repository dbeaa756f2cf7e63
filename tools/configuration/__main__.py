"""`./stack configuration`: generates the tables of docs/configuration.md."""

import sys

import click

from tools.configuration.document import FILE, tables, with_tables
from tools.stack.command_line import Documented
from tools.stack.console import say
from tools.stack.errors import StackError


@click.command(cls=Documented, example="./stack configuration")
def configuration() -> None:
    """Generate the tables of docs/configuration.md from .env.example and the settings."""
    try:
        text = with_tables(FILE.read_text(encoding="utf-8"), tables())
    except ValueError as error:
        raise StackError(str(error)) from None
    FILE.write_text(text, encoding="utf-8")
    say(f"{FILE.name} is generated from .env.example.")


if __name__ == "__main__":
    configuration.main(sys.argv[1:], prog_name="./stack configuration")
