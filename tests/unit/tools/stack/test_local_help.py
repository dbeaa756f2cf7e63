"""What ./stack says of itself: help, version, names, completion; none of it installs anything."""

import os
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from chassis import VERSION
from tools.stack import help_text
from tools.stack.__main__ import ELSEWHERE, SECTIONS, program
from tools.stack.did_you_mean import nearest
from tools.stack.layout import CHECKOUT

NAMES = [name for names in SECTIONS.values() for name in names]
Result = subprocess.CompletedProcess[str]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A checkout as it was cloned, in which nothing is installed."""
    for name in ("stack", "tools", "chassis", "provisioning"):
        source = CHECKOUT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    return tmp_path


def stack(checkout: Path, *words: str, **environment: str) -> Result:
    """Run ./stack of a checkout; nothing may be installed in it."""
    own = {"PATH": os.defpath, **environment}
    done = subprocess.run([checkout / "stack", *words], capture_output=True, text=True, env=own)
    assert not (checkout / ".stack").exists()
    return done


def test_generated_files_are_up_to_date() -> None:
    made_by = "python -m tools.stack.help_text makes it anew"
    assert help_text.FILE.read_text() == help_text.text(), made_by


def test_every_command_has_a_section_a_help_and_an_example() -> None:
    assert set(program.commands) | set(ELSEWHERE) == set(NAMES)
    context = click.Context(program)
    for name in NAMES:
        command = program.get_command(context, name)
        assert command is not None
        said = command.get_help(click.Context(command, info_name=name))
        example = said.partition("\nExample:\n")[2]
        assert f"./stack {name}" in example, said
        assert (command.help or "").partition("\n")[0].endswith(".")


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], []])
def test_help_needs_nothing_that_is_installed(bare: Path, words: list[str]) -> None:
    done = stack(bare, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"  {name} " in done.stdout for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_help_of_a_command_needs_nothing_that_is_installed(bare: Path, name: str) -> None:
    asked = [stack(bare, *words) for words in ([name, "--help"], [name, "-h"], ["help", name])]
    for done in asked:
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"Usage: ./stack {name} ")
        assert "\nExample:\n" in done.stdout


def test_arguments_after_a_forwarded_command_are_forwarded(bare: Path) -> None:
    for words in (["run", "billing", "--help"], ["pm2", "logs", "-h"], ["psql", "billing", "-h"]):
        done = stack(bare, *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "Nothing is installed yet: ./stack up does it.\n"


def test_the_version_needs_nothing_that_is_installed(bare: Path) -> None:
    assert stack(bare, "--version").stdout == f"CRUD Master, version {VERSION}\n"
    assert CliRunner().invoke(program, ["--version"]).stdout == f"CRUD Master, version {VERSION}\n"


@pytest.mark.parametrize(
    ("word", "meant"),
    [("statsu", "status"), ("start", "up"), ("stop", "down"), ("log", "logs"), ("tset", "test")],
)
def test_an_unknown_command_is_answered_with_the_nearest_one(
    bare: Path, word: str, meant: str
) -> None:
    expected = f"There is no command {word}. Did you mean {meant}? ./stack --help lists them.\n"
    done = stack(bare, word)
    assert (done.returncode, done.stderr) == (1, expected)
    done_by_python = CliRunner().invoke(program, [word])
    assert (done_by_python.exit_code, done_by_python.stderr) == (1, expected)


def test_an_unlike_name_has_no_nearest_one(bare: Path) -> None:
    assert nearest("xyzzy", NAMES) == []
    assert stack(bare, "xyzzy").stderr == "There is no command xyzzy. ./stack --help lists them.\n"


@pytest.mark.parametrize("name", ["up", "install", "postman"])
def test_a_surplus_argument_is_refused_before_anything_is_installed(bare: Path, name: str) -> None:
    done = stack(bare, name, "--fast")
    assert done.returncode == 2
    assert f"./stack {name} takes no arguments, and got --fast." in done.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["logs", "billing-consumr"], 1, "no process billing-consumr. Did you mean billing-cons"),
        (["server", "stop", "rabitmq"], 1, "no server rabitmq. Did you mean rabbitmq?"),
        (["server", "strat", "rabbitmq"], 2, "no action strat. Did you mean start?"),
        (["psql", "order"], 2, "no service order. Did you mean orders?"),
        (["drill", "broker-kiled"], 1, "no drill broker-kiled. Did you mean broker-killed?"),
        (["bench", "read"], 2, "no row read. Did you mean reads?"),
        (["down", "--purg"], 2, "No such option '--purg'. Did you mean '--purge'?"),
    ],
)
def test_names_that_are_not_known_are_answered_with_the_nearest(
    words: list[str], status: int, said: str
) -> None:
    done = CliRunner().invoke(program, words)
    assert done.exit_code == status
    assert said in done.stderr, done.stderr


def completed(*words: str) -> list[str]:
    """What may stand in place of the last of `words`."""
    done = CliRunner().invoke(
        program,
        prog_name="./stack",
        complete_var="_STACK_COMPLETE",
        env={
            "_STACK_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(("./stack", *words)),
            "COMP_CWORD": str(len(words)),
        },
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["dr"], ["drill"]),
        (["logs", "mail"], ["mail-worker"]),
        (["server", "stop", "rab"], ["rabbitmq"]),
        (["drill", "gateway"], ["gateway-killed"]),
        (["bench", "pu"], ["purge"]),
        (["events", "order"], ["order_events"]),
        (["pm2", "des"], ["describe"]),
        (["pm2", "stop", "mail"], ["mail-worker"]),
        (["run", "ord"], ["orders"]),
        (["run", "orders", "mail"], ["mail-worker", "mail"]),
        (["run", "orders", "mail", "sh"], ["show"]),
        (["run", "billing", "dlq", "re"], ["requeue"]),
        (["down", "--p"], ["--purge"]),
        (["completion", "z"], ["zsh"]),
    ],
)
def test_words_are_completed(words: list[str], found: list[str]) -> None:
    assert completed(*words) == found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion_script(bare: Path, shell: str) -> None:
    done = stack(bare, "completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_STACK_COMPLETE={shell}_complete" in done.stdout


def test_before_an_installation_nothing_is_completed(bare: Path) -> None:
    done = stack(bare, _STACK_COMPLETE="bash_complete", COMP_WORDS="./stack d", COMP_CWORD="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


BASH = """
source /dev/stdin <<<"$(./stack completion bash)"
COMP_WORDS=(./stack logs billing-c) COMP_CWORD=2
_crud_master_stack ./stack
printf '%s\\n' "${COMPREPLY[@]}"
"""


def test_bash_completes_by_the_checkout_that_is_called() -> None:
    done = subprocess.run(["bash", "-c", BASH], cwd=CHECKOUT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("billing-consumer\n", "")
