"""What the commands of ./stack do; each returns its exit status."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.stack import backup, lifecycle, memory, status, trace, variables
from tools.stack.console import say, show
from tools.stack.did_you_mean import unknown
from tools.stack.errors import StackError
from tools.stack.events import Output, follow
from tools.stack.layout import CHECKOUT, PROCESSES
from tools.stack.logs import files as log_files
from tools.stack.logs import recent
from tools.stack.progress import PROGRESS
from tools.stack.servers.postgres import binary
from tools.stack.stack import Stack
from tools.stack.summary import first_page, summary

SEED = CHECKOUT / "sample-data" / "seed.py"
ACTIONS = {"stop": "stopped", "start": "started", "restart": "restarted", "kill": "killed"}


def up(stack: Stack) -> int:
    """Start everything."""
    lifecycle.up(stack, say)
    say(summary(stack))
    if warning := variables.exposure():
        say(f"\n{warning}")
    for sentence in status.stranded(stack.rabbitmq):
        say(f"\n{sentence}")
    show("\n" + first_page(stack))
    return 0


def down(stack: Stack, purge: bool) -> int:
    """Stop everything."""
    lifecycle.down(stack, purge, say)
    return 0


def show_status(stack: Stack) -> int:
    """Say what runs; 1 if something does not."""
    with PROGRESS.of("asking processes and servers"):
        text, up = status.describe(stack)
    show(text)
    return 0 if up else 1


def show_memory(stack: Stack) -> int:
    """Say how much memory each process takes."""
    with PROGRESS.of("measuring"):
        text = memory.describe(stack)
    say(text)
    return 0


def show_trace(stack: Stack, identifier: str) -> int:
    """Say what was logged under an id. Raises StackError if nothing was."""
    lines = trace.find(stack.process_manager.logs, identifier)
    if not lines:
        raise StackError(f"Nothing was logged under {identifier}.")
    for line in lines:
        say(line)
    return 0


def events(stack: Stack, exchange: str, routing_key: str) -> int:
    """Show what an exchange gets as it comes, until Ctrl-C or until nobody reads it any more."""
    lines = follow(stack.rabbitmq, exchange, routing_key)
    next(lines)
    output = Output()
    sys.stderr.write(f"Waiting for what {exchange} gets; Ctrl-C ends this.\n")
    for line in lines:
        if line:
            say(line)
        if not output.is_read():
            break
    return 0


def logs(stack: Stack, name: str, lines: int, following: bool) -> int:
    """Show the logs of a process or server, the newest line last."""
    files = [file for file in _log_files(stack, name) if file.exists()]
    if not files:
        raise StackError(f"{name} has no log yet: ./stack up starts it.")
    shown, ends = recent(files, lines)
    for line in shown:
        say(line)
    if following:
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
    known = [process.name for process in PROCESSES]
    if name not in known:
        raise StackError(unknown("process", name, [*known, *servers]))
    return log_files(stack.process_manager.logs, name)


def pm2(stack: Stack, words: Sequence[str]) -> int:
    """Hand over to PM2, if it runs: any call would start one, without processes."""
    if not stack.process_manager.daemon():
        raise StackError("PM2 does not run: ./stack up starts it.")
    stack.process_manager.become(words)
    return 1


def psql(stack: Stack, service: str, words: Sequence[str]) -> int:
    """Hand over to psql, as the service's own role, on its private socket."""
    postgres, prefix = stack.postgres[service], service.upper()
    if not postgres.running():
        raise StackError(f"The database of {service} does not run: ./stack up starts it.")
    user, name = (stack.variables[f"{prefix}_DB_{field}"] for field in ("USER", "NAME"))
    command = [binary("psql"), *postgres.connection(user, name), *words]
    os.execv(command[0], command)


def run(stack: Stack, service: str, words: Sequence[str]) -> int:
    """Hand over to a command of a service, such as `billing dlq list`."""
    os.chdir(CHECKOUT)
    command = [sys.executable, "-m", service, *words]
    called = {"CALLED_AS": "./stack run"}
    os.execve(command[0], command, stack.process_manager.environment() | called)


def seed(stack: Stack) -> int:
    """Load the sample data: over the gateway, and the orders of the past by an import."""
    if not stack.is_ready(PROCESSES[0]):
        raise StackError("The gateway does not answer: ./stack up starts it.")
    orders = str(stack.home / "sample-orders.csv")
    # the token not in the command line, which everybody can see
    own = {"GATEWAY_URL": stack.url, "API_TOKEN": stack.variables["API_TOKEN"]}
    environment = stack.process_manager.environment() | own
    with PROGRESS.of("loading the sample data"):
        for words in ([str(SEED), "--orders", orders], ["-m", "orders", "import", orders]):
            if failed := _said(words, environment):
                return failed
    return 0


def _said(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a Python program, say what it says, and return its exit status."""
    command = [sys.executable, *words]
    with subprocess.Popen(
        command, cwd=CHECKOUT, env=dict(environment), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            say(line.rstrip("\n"))
    return process.returncode


def back_up(stack: Stack, directory: str | None) -> int:
    """Back up the databases and RabbitMQ's definitions."""
    backup.back_up(stack, directory, say)
    return 0


def restore(stack: Stack, directory: str, services: Sequence[str], replace: bool) -> int:
    """Restore a backup."""
    backup.restore(stack, directory, services, replace, say)
    return 0


def server(stack: Stack, action: str, name: str) -> int:
    """Stop, start, restart or kill -9 one of the servers."""
    chosen = stack.servers().get(name)
    if chosen is None:
        raise StackError(unknown("server", name, list(stack.servers())))
    was_running = chosen.running()
    with PROGRESS.of(f"{name}: {action}"):
        getattr(chosen, action)()
    say(f"{name} {outcome(action, was_running)}")
    return 0


def outcome(action: str, was_running: bool) -> str:
    """What an action has done to a server, in words."""
    if action == "start" and was_running:
        return "runs already"
    if action in ("stop", "kill") and not was_running:
        return "was not running"
    return ACTIONS[action]
