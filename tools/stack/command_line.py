"""How the commands of ./stack are declared: with help, an example, and names that are known."""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from chassis.cli import Command
from chassis.printable import escaped
from tools.stack.did_you_mean import unknown
from tools.stack.errors import StackError

INTERRUPTED = 130
HELP = {"help_option_names": ["-h", "--help"]}
# all that follows our own words is for another program, as it is
PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


class Failure(click.ClickException):
    """An expected failure: one sentence that says what to do, and exit status 1."""

    def show(self, file: Any = None) -> None:
        """Write the sentence to standard error."""
        sys.stderr.write(f"{escaped(self.message)}\n")


class Documented(Command):
    """A command that has an example, and whose callback returns its exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; an expected failure is one sentence."""
        if ctx.find_root().params.get("only_parse"):
            return None
        try:
            status = super().invoke(ctx)
        except StackError as error:
            raise Failure(str(error)) from None
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        ctx.exit(status or 0)


class Program(click.Group):
    """./stack: commands by what a person wants, loaded when they are needed.

    Attributes:
        sections: title → names of commands.
        elsewhere: name → module:attribute of the commands that are declared in another module.
    """

    def __init__(
        self, *words: Any, sections: Mapping[str, Sequence[str]], elsewhere: Mapping[str, str],
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(*words, **options)
        self.sections = sections
        self.elsewhere = elsewhere
        self.context_settings = HELP

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return [name for names in self.sections.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command."""
        if cmd_name not in self.elsewhere:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self.elsewhere[cmd_name].partition(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first word names."""
        if not ctx.resilient_parsing and args and args[0] not in (known := self.list_commands(ctx)):
            raise Failure(unknown("command", args[0], known, "./stack --help lists them."))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, by section, all of them in one column."""
        width = max(map(len, self.list_commands(ctx)))
        for title, names in self.sections.items():
            with formatter.section(title):
                for name in names:
                    command = self.get_command(ctx, name)
                    assert command is not None
                    formatter.write(f"  {name:<{width}}  {command.get_short_help_str(200)}\n")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say where more is."""
        formatter.write("\nEach command says more, with an example: ./stack up --help\n")


class Known(click.ParamType[str]):
    """A name out of those that are known.

    Args:
        kind: what it names, such as "process".
        known: the names, looked up when they are needed.
        more: what says which there are, where there are too many to name.
        failure: the exit status of an unknown one is 1, and not 2 as for a wrong usage.
    """

    def __init__(
        self, kind: str, known: Callable[[], Iterable[str]], more: str = "", failure: bool = False
    ) -> None:
        self.name = kind
        self._known = known
        self._more = more
        self._failure = failure

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, if it is known."""
        known = list(self._known())
        if value in known:
            return value
        sentence = unknown(self.name, value, known, self._more)
        if self._failure:
            raise Failure(sentence)
        self.fail(sentence, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the known names that begin so."""
        return [CompletionItem(name) for name in self._known() if name.startswith(incomplete)]


class Words(click.ParamType[str]):
    """What is passed on as it is; `beginnings` says what may follow which words, for completion."""

    name = "words"

    def __init__(self, beginnings: Callable[[click.Context, Sequence[str]], Iterable[str]]) -> None:
        self._beginnings = beginnings

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return what may come next."""
        before = ctx.params.get(param.name or "") or ()
        words = self._beginnings(ctx, before)
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]
