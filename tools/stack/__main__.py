"""The commands behind ./stack, once all is installed."""

import importlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from chassis import VERSION
from tools.stack import commands
from tools.stack.command_line import PASSED_ON, Documented, Known, Program, Words
from tools.stack.layout import CHECKOUT, PROCESSES, SERVICES, TOPOLOGY
from tools.stack.lock import alone
from tools.stack.servers import data_directories
from tools.stack.stack import Stack

SECTIONS = {
    "Start and stop": ["up", "down", "status"],
    "Look": ["logs", "trace", "events", "memory", "psql"],
    "Fill": ["seed", "import"],
    "Keep": ["backup", "restore"],
    "Break and mend": ["pm2", "server", "run", "drill"],
    "Develop": ["test", "bench", "postman", "configuration", "install", "completion"],
}
# what is not declared here; by name, since nothing of ./stack imports the benchmark
ELSEWHERE = {
    "drill": "tools.drills.command:drill",
    "bench": "tools.bench.__main__:bench",
    "postman": "tools.postman.__main__:postman",
    "configuration": "tools.configuration.__main__:configuration",
}
SERVERS = ("rabbitmq", "redis", *(f"postgresql-{service}" for service in SERVICES))
PM2_CALLS = ("list", "stop", "start", "restart", "scale", "logs", "monit", "describe")
SHELLS = ("bash", "zsh", "fish")
VERSION_LINE = "%(prog)s, version %(version)s"


def _processes() -> list[str]:
    return [process.name for process in PROCESSES]


def _pm2_words(_context: click.Context, before: Sequence[str]) -> list[str]:
    return _processes() if before else list(PM2_CALLS)


def _service_words(context: click.Context, before: Sequence[str]) -> list[str]:
    """The commands that may follow: of the service, or of a group of its commands."""
    if context.params.get("service") not in SERVICES:
        return []
    # by name, since nothing of ./stack imports a service
    module = importlib.import_module(f"{context.params['service']}.__main__")
    group: click.Command | None = module.commands
    for word in before:
        group = group.commands.get(word) if isinstance(group, click.Group) else None
    commands = group.commands if isinstance(group, click.Group) else {}
    return [name for name, command in commands.items() if not command.hidden]


service = click.argument("service", type=Known("service", lambda: SERVICES), metavar="SERVICE")


@contextmanager
def _changing() -> Iterator[None]:
    """Wait until no other command changes what runs, and keep others out."""
    with alone(data_directories.of_checkout(CHECKOUT)):
        yield


@click.group(cls=Program, sections=SECTIONS, elsewhere=ELSEWHERE)
@click.version_option(VERSION, prog_name="CRUD Master", message=VERSION_LINE)
@click.option("--only-parse", is_flag=True, hidden=True)
def program(only_parse: bool) -> None:
    """The whole platform on this machine, without a hypervisor."""
    # the caller reports a failed connection, once
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


@program.command(cls=Documented, example="./stack up")
def up() -> int:
    """Install what is missing, start everything, wait until it is ready.

    What runs already is left alone; after a change of the code or of .env, what needs it is
    restarted. PORT_OFFSET=1000 ./stack up moves all ports, so that a second checkout can run
    beside this one.
    """
    with _changing():
        return commands.up(Stack.of_checkout())


@program.command(cls=Documented, example="./stack down --purge")
@click.option("--purge", is_flag=True, help="Also remove the data: databases, queues, logs.")
def down(purge: bool) -> int:
    """Stop everything that `up` started, and nothing else."""
    with _changing():
        return commands.down(Stack.as_started(), purge)


@program.command(cls=Documented, example="./stack status")
def status() -> int:
    """Show processes, servers, addresses and queues.

    The exit status is 1 if something does not run.
    """
    return commands.show_status(Stack.as_started())


@program.command(
    cls=Documented,
    example="./stack logs billing-consumer --follow\n./stack logs rabbitmq --lines 200",
)
@click.argument(
    "name", metavar="NAME", type=Known("process", lambda: [*_processes(), *SERVERS], failure=True)
)
@click.option(
    "--lines",
    metavar="N",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="So many at most.",
)
@click.option("--follow", "-f", "following", is_flag=True, help="Go on with what comes.")
def logs(name: str, lines: int, following: bool) -> int:
    """Show the log of a process, of rabbitmq, of redis or of postgresql-SERVICE."""
    return commands.logs(Stack.as_started(), name, lines, following)


@program.command(cls=Documented, example="./stack trace 4bf92f3577b34da6a3ce929d0e0e4736")
@click.argument("identifier", metavar="ID")
def trace(identifier: str) -> int:
    """Show what all processes logged under a request id, in order.

    ID is an answer's X-Request-ID, or any other id that log lines name as a whole: a trace, an
    order, a bill, a message.
    """
    return commands.show_trace(Stack.as_started(), identifier)


@program.command(
    cls=Documented, example="./stack events order_events --routing-key order.cancelled"
)
# not a name that must be known: somebody else may have made an exchange
@click.argument(
    "exchange", metavar="EXCHANGE", type=Words(lambda _context, _before: TOPOLOGY.exchanges)
)
@click.option("--routing-key", default="#", metavar="KEY", help="Only these; # and * are patterns.")
def events(exchange: str, routing_key: str) -> int:
    """Show the events of an exchange as they come, until Ctrl-C.

    The exchanges are customer_events, order_events, inventory_events, billing_events and events.
    """
    return commands.events(Stack.as_started(), exchange, routing_key)


@program.command(cls=Documented, example="./stack memory")
def memory() -> int:
    """Show how much memory each process takes (PSS)."""
    return commands.show_memory(Stack.as_started())


@program.command(
    cls=Documented, context_settings=PASSED_ON, example="./stack psql billing -c 'TABLE orders'"
)
@service
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[PSQL ARGUMENTS]")
def psql(service: str, words: tuple[str, ...]) -> int:
    """Open the database of a service.

    SERVICE is gateway, inventory, billing, customers or orders; what follows goes to psql.
    """
    return commands.psql(Stack.as_started(), service, words)


@program.command(cls=Documented, example="./stack seed")
def seed() -> int:
    """Load movies, products, customers and orders to try things with.

    They come from sample-data/. What is there already is not loaded twice.
    """
    return commands.seed(Stack.as_started())


@program.command("import", cls=Documented, example="./stack import orders.csv --dry-run")
@click.argument("file", metavar="FILE", type=click.Path())
@click.option("--dry-run", is_flag=True, help="Check all of it and load nothing.")
def import_(file: str, dry_run: bool) -> int:
    """Load orders from a CSV or JSON file, all of them or none.

    Orders that exist already are skipped, and no mails are sent.
    """
    words = ["import", file, *(["--dry-run"] if dry_run else [])]
    return commands.run(Stack.as_started(), "orders", words)


@program.command(cls=Documented, example="./stack backup\n./stack backup /mnt/disk/monday")
@click.argument("directory", required=False, metavar="[DIRECTORY]", type=click.Path())
def backup(directory: str | None) -> int:
    """Back up every database and RabbitMQ's definitions.

    The platform goes on meanwhile. DIRECTORY must be new; without one it is backups/TIME. It
    appears when it is complete. Messages that wait in queues are not part of it.
    """
    with _changing():
        return commands.back_up(Stack.as_started(), directory)


@program.command(
    cls=Documented,
    example="./stack restore backups/monday\n./stack restore monday --service billing --replace",
)
@click.argument("directory", metavar="DIRECTORY", type=click.Path())
@click.option(
    "--service",
    "services",
    multiple=True,
    type=Known("service", lambda: SERVICES),
    metavar="SERVICE",
    help="Restore only this one; repeatable.",
)
@click.option("--replace", is_flag=True, help="Replace the rows that are there.")
def restore(directory: str, services: tuple[str, ...], replace: bool) -> int:
    """Restore a backup into the databases of the running servers.

    Everything is checked before anything is changed. The services are stopped meanwhile, and
    started afterwards. Databases that have rows are refused, unless they are to be replaced.
    """
    with _changing():
        return commands.restore(Stack.as_started(), directory, services, replace)


@program.command(
    cls=Documented,
    context_settings=PASSED_ON,
    example="./stack pm2 stop billing-consumer\n./stack pm2 logs gateway --nostream",
)
@click.argument("words", nargs=-1, required=True, type=Words(_pm2_words), metavar="PM2 ARGUMENTS")
def pm2(words: tuple[str, ...]) -> int:
    """Call PM2: list, stop, start, restart, scale, logs, monit."""
    return commands.pm2(Stack.as_started(), words)


@program.command(
    cls=Documented, example="./stack server stop rabbitmq\n./stack server start rabbitmq"
)
@click.argument("action", metavar="ACTION", type=Known("action", lambda: commands.ACTIONS))
@click.argument("name", metavar="NAME", type=Known("server", lambda: SERVERS, failure=True))
def server(action: str, name: str) -> int:
    """Stop, start, restart or kill rabbitmq, redis or postgresql-SERVICE.

    ACTION is stop, start, restart or kill, which ends the server as a power cut would.
    """
    with _changing():
        return commands.server(Stack.as_started(), action, name)


@program.command(
    cls=Documented,
    context_settings=PASSED_ON,
    example="./stack run billing dlq list\n./stack run orders --help",
)
@service
@click.argument("words", nargs=-1, type=Words(_service_words), metavar="[COMMAND]...")
def run(service: str, words: tuple[str, ...]) -> int:
    """Run a command of a service: dead letters, mails, tokens, imports.

    SERVICE is gateway, inventory, billing, customers or orders.
    """
    return commands.run(Stack.as_started(), service, words)


def _by_shell(name: str, words: tuple[str, ...] = ()) -> int:
    """Hand over to the shell script, which installs what a command needs first."""
    os.execv(CHECKOUT / "stack", ["stack", name, *words])


@program.command(
    cls=Documented,
    context_settings=PASSED_ON,
    example="./stack test\n./stack test tests/unit -k settings\n./stack test --long",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[PYTEST ARGUMENTS]")
def test(words: tuple[str, ...]) -> int:
    """Run the tests, against servers of their own.

    Without arguments all but those that take many minutes (--long: benchmarks, long sequences of
    faults) and those of `vagrant up` (deployment, which needs Vagrant and a provider).
    """
    return _by_shell("test", words)


@program.command(cls=Documented, example="./stack install")
def install() -> int:
    """Install what `up` and `test` need, and nothing else."""
    return _by_shell("install")


@program.command(
    cls=Documented,
    example=(
        'eval "$(./stack completion bash)"       # in ~/.bashrc, by its full path\n'
        "./stack completion fish | source"
    ),
)
@click.argument("shell", metavar="SHELL", type=Known("shell", lambda: SHELLS))
def completion(shell: str) -> int:
    """Print what completes ./stack in bash, zsh or fish."""
    return _by_shell("completion", (shell,))


def main(words: list[str]) -> None:
    """Run the command that `words` name, and exit with its status."""
    program.main(words, prog_name="./stack", complete_var="_STACK_COMPLETE")


if __name__ == "__main__":
    main(sys.argv[1:])
