"""The commands of a service: its processes, the migration, and its dead letters.

What a command does not need is not imported before it runs.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import click

from chassis import cli
from chassis.errors import SettingsError
from chassis.settings import BrokerSettings
from chassis.topology import SERVE, Role
from chassis.topology_file import read_topology

Action = click.Command | Callable[[], object]
_RESTORED = "Prepare a restored database for its processes, which do not run (chassis.backup)."


def declare(
    service: str,
    processes: Mapping[str, tuple[str, str] | Action],
    migrate: str,
    restored: str | None = None,
    **own: Action,
) -> cli.Commands:
    """Return the commands of a service.

    Args:
        service: its package, which is also its role in topology.yml.
        processes: by the command that a process of topology.yml `runs`, what it runs (`module:app`
            for a server, else `module:run`) and its help; or a function.
        migrate: the help of `migrate`.
        restored: `module:function` that is called with a connection after a restore of the
            database, in a transaction, and returns sentences for people.
        own: further commands.
    """
    role = _role(service)
    made: dict[str, Action] = {
        runs: _process(role, runs, *process) if isinstance(process, tuple) else process
        for runs, process in processes.items()
    }
    made["migrate"] = cli.Command("migrate", callback=lambda: _migrate(service), help=migrate)
    made["restored"] = cli.Command(
        "restored", callback=lambda: _restored(service, restored), help=_RESTORED, hidden=True
    )
    queues = dict.fromkeys(queue for process in role.processes for queue in process.consumes)
    if queues:
        made["dlq"] = _dlq(service, *queues)
    return cli.group(service, **made, **own)


def load(service: str) -> Any:
    """Return the settings of a service. Raises SettingsError."""
    return import_module(f"{service}.settings").load()


def _role(service: str) -> Role:
    try:
        return read_topology().role(service)
    except SettingsError as error:
        sys.exit(str(error))


def _process(role: Role, runs: str, target: str, summary: str) -> click.Command:
    name = _process_name(role, runs)
    run = _serve if runs == SERVE else _work
    return cli.Command(
        runs,
        callback=lambda: run(name, target, load(role.name)),
        help=f"{summary} (PM2 process {name}).",
    )


def _process_name(role: Role, runs: str) -> str:
    for process in role.processes:
        if process.runs == runs:
            return process.name
    sys.exit(f"topology.yml: role {role.name} has no process with `runs: {runs}`")


def _serve(name: str, target: str, settings: Any) -> None:
    from chassis.http import server

    server.run(name, target, settings.server, settings.port)


def _work(name: str, target: str, settings: Any) -> None:
    from chassis import logs
    from chassis.http import worker_process

    module, _, function = target.partition(":")
    run = getattr(import_module(module), function)
    logs.configure(name)
    run(settings, worker_process.stop_event())


def _migrate(service: str) -> None:
    from chassis import logs
    from chassis.storage import migrations

    logs.configure(f"{service}-migrate")
    migrations.upgrade(service, load(service).database)


def _restored(service: str, target: str | None) -> None:
    from chassis import trace
    from chassis.storage import migrations, sequences
    from chassis.storage.database import Database

    settings = load(service).database
    migrations.upgrade(service, settings)
    database = Database(settings, connections=1)
    # its events have a request id, as all have
    with trace.within(trace.continued({})), database.transaction() as connection:
        sequences.skip(connection)
        if target is not None:
            module, _, function = target.partition(":")
            for sentence in getattr(import_module(module), function)(connection):
                cli.echo(sentence)
    database.close()


def _dlq(service: str, first: str, *others: str) -> click.Group:
    from chassis.messaging import dlq_commands

    def broker() -> BrokerSettings:
        settings: BrokerSettings = load(service).broker
        return settings.for_queue(settings.name_of(read_topology().queue(first)))

    return dlq_commands.commands(broker, others)
