"""The help of all commands as one text, which the shell script shows before anything is installed.

    python -m tools.stack.help_text

Each command's help stands below a line `== NAME`, that of ./stack itself below `==`.
"""

from collections.abc import Iterator

import click

from tools.stack.__main__ import program
from tools.stack.layout import CHECKOUT

FILE = CHECKOUT / "tools" / "stack" / "help.txt"
WIDTH = 88


def text() -> str:
    """The whole text."""
    return "".join(f"{heading}\n{body}\n" for heading, body in _helps())


def _helps() -> Iterator[tuple[str, str]]:
    root = _context(program, "./stack", None)
    yield "==", program.get_help(root)
    for name in program.list_commands(root):
        command = program.get_command(root, name)
        assert command is not None
        yield f"== {name}", command.get_help(_context(command, name, root))


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    settings = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    return click.Context(command, parent, name, **{**command.context_settings, **settings})


if __name__ == "__main__":
    FILE.write_text(text())
