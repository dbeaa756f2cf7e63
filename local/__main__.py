"""The commands behind ./stack, once all is installed."""

import argparse
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from chassis.printable import escaped
from local import homes, memory, status, trace, variables
from local.console import say
from local.drill import command as drills
from local.errors import StackError
from local.events import Output, follow
from local.layout import CHECKOUT, PROCESSES, SERVICES
from local.lock import alone
from local.logs import files as log_files
from local.logs import recent
from local.postgres import binary
from local.stack import Stack
from local.summary import summary

# how many words of these commands are ours; the rest is passed on as it is
PASSED_ON = {"pm2": 1, "psql": 2, "run": 2}
SEED = CHECKOUT / "sample-data" / "seed.py"
ACTIONS = {"stop": "stopped", "start": "started", "restart": "restarted", "kill": "killed"}
Command = Callable[[Stack, argparse.Namespace], int]


def up(stack: Stack, _options: argparse.Namespace) -> int:
    """Start everything."""
    stack.up(say)
    say(summary(stack))
    if warning := variables.exposure():
        say(f"\n{warning}")
    for sentence in status.stranded(stack.rabbitmq):
        say(f"\n{sentence}")
    return 0


def down(stack: Stack, options: argparse.Namespace) -> int:
    """Stop everything."""
    stack.down(purge=options.purge, report=say)
    return 0


def show_status(stack: Stack, _options: argparse.Namespace) -> int:
    """Say what runs; 1 if something does not."""
    text, up = status.describe(stack)
    say(text)
    return 0 if up else 1


def show_memory(stack: Stack, _options: argparse.Namespace) -> int:
    """Say how much memory each process takes."""
    say(memory.describe(stack))
    return 0


def show_trace(stack: Stack, options: argparse.Namespace) -> int:
    """Say what was logged under an id. Raises StackError if nothing was."""
    lines = trace.find(stack.process_manager.logs, options.id)
    if not lines:
        raise StackError(f"Nothing was logged under {options.id}.")
    for line in lines:
        say(line)
    return 0


def events(stack: Stack, options: argparse.Namespace) -> int:
    """Show what an exchange gets as it comes, until Ctrl-C or until nobody reads it any more."""
    lines = follow(stack.rabbitmq, options.exchange, options.routing_key)
    next(lines)
    output = Output()
    sys.stderr.write(f"Waiting for what {options.exchange} gets; Ctrl-C ends this.\n")
    for line in lines:
        if line:
            say(line)
        if not output.is_read():
            break
    return 0


def logs(stack: Stack, options: argparse.Namespace) -> int:
    """Show the logs of a process or server, the newest line last."""
    files = [file for file in _log_files(stack, options.name) if file.exists()]
    if not files:
        raise StackError(f"{options.name} has no log yet: ./stack up starts it.")
    lines, ends = recent(files, options.lines)
    for line in lines:
        say(line)
    if options.follow:
        _follow(ends)
    return 0


def _follow(ends: Mapping[Path, int]) -> None:
    """Say what is written into files from these places on, as long as somebody reads it."""
    output = Output()
    commands = [["tail", "-F", "-c", f"+{end + 1}", str(file)] for file, end in ends.items()]
    reader, writer = os.pipe()
    tails = [subprocess.Popen(command, stdout=writer) for command in commands]
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as written:
            for line in written:
                say(line.rstrip(b"\n").decode(errors="backslashreplace"))
                if not output.is_read():
                    break
    finally:
        for process in tails:
            process.terminate()
            process.wait()


def _log_files(stack: Stack, name: str) -> list[Path]:
    servers = stack.servers()
    if name in servers:
        home = servers[name].home
        return [home / "server.log", *sorted((home / "log").glob("*.log"))]
    if name not in [process.name for process in PROCESSES]:
        known = ", ".join([*(process.name for process in PROCESSES), *servers])
        raise StackError(f"There is no process {name}; there are {known}.")
    return log_files(stack.process_manager.logs, name)


def pm2(stack: Stack, options: argparse.Namespace) -> int:
    """Hand over to PM2, if it runs: any call would start one, without processes."""
    if not stack.process_manager.daemon():
        raise StackError("PM2 does not run: ./stack up starts it.")
    stack.process_manager.become(options.arguments)
    return 1


def psql(stack: Stack, options: argparse.Namespace) -> int:
    """Hand over to psql, as the service's own role, on its private socket."""
    postgres, prefix = stack.postgres[options.service], options.service.upper()
    if not postgres.running():
        raise StackError(f"The database of {options.service} does not run: ./stack up starts it.")
    user, name = (stack.variables[f"{prefix}_DB_{field}"] for field in ("USER", "NAME"))
    command = [binary("psql"), *postgres.connection(user, name), *options.arguments]
    os.execv(command[0], command)


def run_command(stack: Stack, options: argparse.Namespace) -> int:
    """Hand over to a command of a service, such as `billing dlq list`."""
    os.chdir(CHECKOUT)
    command = [sys.executable, "-m", options.service, *options.arguments]
    os.execve(command[0], command, stack.process_manager.environment())


def seed(stack: Stack, _options: argparse.Namespace) -> int:
    """Load the sample data: over the gateway, and the orders of the past by an import."""
    if not stack.is_ready(PROCESSES[0]):
        raise StackError("The gateway does not answer: ./stack up starts it.")
    orders = str(stack.home / "sample-orders.csv")
    # the token not in the command line, which everybody can see
    own = {"GATEWAY_URL": stack.url, "API_TOKEN": stack.variables["API_TOKEN"]}
    for command in ([str(SEED), "--orders", orders], ["-m", "orders", "import", orders]):
        environment = stack.process_manager.environment() | own
        done = subprocess.run([sys.executable, *command], cwd=CHECKOUT, env=environment)
        if done.returncode:
            return done.returncode
    return 0


def server(stack: Stack, options: argparse.Namespace) -> int:
    """Stop, start, restart or kill -9 one of the servers."""
    chosen = stack.servers().get(options.name)
    if chosen is None:
        known = ", ".join(stack.servers())
        raise StackError(f"There is no server {options.name}; there are {known}.")
    was_running = chosen.running()
    getattr(chosen, options.action)()
    say(f"{options.name} {outcome(options.action, was_running)}")
    return 0


def outcome(action: str, was_running: bool) -> str:
    """What an action has done to a server, in words."""
    if action == "start" and was_running:
        return "runs already"
    if action in ("stop", "kill") and not was_running:
        return "was not running"
    return ACTIONS[action]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="./stack")
    commands = root.add_subparsers(required=True)

    def add(name: str, run: Command) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=run.__doc__)
        command.set_defaults(run=run)
        return command

    add("up", up)
    add("down", down).add_argument("--purge", action="store_true")
    add("status", show_status)
    add("memory", show_memory)
    add("trace", show_trace).add_argument("id")
    named = add("events", events)
    named.add_argument("exchange")
    named.add_argument("--routing-key", default="#", metavar="KEY")
    named = add("logs", logs)
    named.add_argument("name")
    named.add_argument("--lines", type=int, default=50)
    named.add_argument("--follow", "-f", action="store_true")
    add("psql", psql).add_argument("service", choices=SERVICES)
    add("pm2", pm2)
    add("run", run_command).add_argument("service", choices=SERVICES)
    add("seed", seed)
    named = add("server", server)
    named.add_argument("action", choices=ACTIONS)
    named.add_argument("name")
    drills.add_options(add("drill", drills.drill))
    return root


def main(words: Sequence[str]) -> int:
    """Parse, call, and turn an expected failure into one sentence and exit status 1."""
    own = PASSED_ON.get(words[0], len(words)) if words else 0
    options = parser().parse_args(words[:own])
    options.arguments = words[own:]
    # what is wrong with a connection is said once, by whoever wanted it
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        return _call(options.run, options)
    except StackError as error:
        sys.stderr.write(f"{escaped(str(error))}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _call(run: Command, options: argparse.Namespace) -> int:
    with alone(homes.of_checkout(CHECKOUT)) if run in CHANGING else nullcontext():
        return run(Stack.of_checkout() if run is up else Stack.as_started(), options)


CHANGING = (up, down, server)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
