"""What the shell script needs before anything is installed, made from what the rest is made of.

    python -m tools.stack.generated

help.txt: each command's help below a line `== NAME`, that of ./stack itself below `==`.
ports.txt: the variable of each port that may be taken, and the address that it is a port of.
"""

from collections.abc import Iterator
from pathlib import Path

import click

from tools.stack.__main__ import program
from tools.stack.layout import CHECKOUT
from tools.stack.port_allocation import hosts
from tools.stack.variables import ADDRESSES

PLACE = CHECKOUT / "tools" / "stack"
WIDTH = 88


def texts() -> dict[Path, str]:
    """The text of each file."""
    helps = "".join(f"{heading}\n{body}\n" for heading, body in _helps())
    ports = "".join(f"{name} {host}\n" for name, host in hosts(ADDRESSES).items())
    return {PLACE / "help.txt": helps, PLACE / "ports.txt": ports}


def _helps() -> Iterator[tuple[str, str]]:
    root = _context(program, "./stack", None)
    yield "==", program.get_help(root)
    for name in program.list_commands(root):
        command = program.get_command(root, name)
        assert command is not None
        yield f"== {name}", command.get_help(_context(command, name, root))


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(
        command, parent, name, terminal_width=WIDTH, max_content_width=WIDTH,
        **command.context_settings,
    )  # fmt: skip


if __name__ == "__main__":
    for file, text in texts().items():
        file.write_text(text)
