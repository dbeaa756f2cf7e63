"""`python -m gateway token create|list|revoke`, on the real database."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from chassis import cli
from chassis.settings import DatabaseSettings
from chassis.storage.database import Database
from gateway.auth.commands import token
from tests.support.served import gateway_variables
from tools.stack.ports import free_port

TOKEN = re.compile(r"crud_[A-Za-z0-9_-]{43}\n")
Run = Callable[..., Result]


@pytest.fixture
def environment(
    gateway_db: Database, database_settings: Callable[[str], DatabaseSettings]
) -> dict[str, str]:
    """The variables of the gateway."""
    return gateway_variables(database_settings("gateway"))


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Run a command of `token`."""

    def run(*arguments: str, **more: str) -> Result:
        commands = cli.group("gateway", token=token)
        return CliRunner().invoke(commands, ["token", *arguments], env=environment | more)

    return run


def rows(database: Database, columns: str) -> list[tuple[object, ...]]:
    """What the table holds."""
    with database.autocommit() as connection:
        found = connection.execute(text(f"SELECT {columns} FROM tokens ORDER BY id"))
        return [tuple(row) for row in found]


def test_a_token_stands_alone_on_standard_output(
    environment: dict[str, str], gateway_db: Database
) -> None:
    options = ["--name", "shop", "--scope", "orders:write, ORDERS:read", "--expires", "30d"]
    made = subprocess.run(
        [sys.executable, "-m", "gateway", "token", "create", *options],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert TOKEN.fullmatch(made.stdout)
    assert "shop" in made.stderr and "orders:read, orders:write" in made.stderr
    assert made.stdout.strip() not in made.stderr
    digest = hashlib.sha256(made.stdout.strip().encode()).digest()
    [row] = rows(gateway_db, "name, hash, scopes, expires_at - created_at = '30 days', revoked_at")
    assert (row[0], bytes(row[1])) == ("shop", digest)  # type: ignore[call-overload]
    assert row[2:] == (["orders:read", "orders:write"], True, None)


def test_a_token_is_shown_once(run: Run) -> None:
    made = run("create", "--name", "shop", "--scope", "orders:read").stdout.strip()
    for command in (["list"], ["create", "--name", "shop", "--scope", "all:read"]):
        assert made not in run(*command).output
    revoked = run("revoke", "shop")
    assert made not in revoked.output + run("list").output


def test_the_list_has_each_token_and_its_state(run: Run, gateway_db: Database) -> None:
    run("create", "--name", "old", "--scope", "movies:read,billing:write", "--expires", "90m")
    run("create", "--name", "gone", "--scope", "events:write")
    run("create", "--name", "shop", "--scope", "orders:read")
    run("revoke", "gone")
    with gateway_db.autocommit() as connection:
        change = "UPDATE tokens SET created_at = '2026-01-01Z', expires_at = '2026-01-02 03:04:05Z'"
        connection.execute(text(f"{change} WHERE name = 'old'"))
    listed = run("list")
    assert (listed.exit_code, listed.stderr) == (0, "")
    lines = [line.split() for line in listed.stdout.splitlines()]
    assert lines[0] == ["NAME", "SCOPES", "CREATED", "EXPIRES", "STATE"]
    times = ["2026-01-01T00:00:00Z", "2026-01-02T03:04:05Z"]
    assert lines[1] == ["old", "movies:read,billing:write", *times, "expired"]
    assert [line[0:2] + line[3:] for line in lines[2:]] == [
        ["gone", "events:write", "never", "revoked"],
        ["shop", "orders:read", "never", "active"],
    ]


def test_all_means_every_class(run: Run, gateway_db: Database) -> None:
    assert run("create", "--name", "reader", "--scope", "all:read").exit_code == 0
    [(scopes,)] = rows(gateway_db, "scopes")
    classes = ("movies", "products", "billing", "customers", "orders", "events", "platform")
    assert scopes == [f"{name}:read" for name in classes]


@pytest.mark.parametrize(
    ("expires", "seconds"),
    [("90m", 5_400), ("12h", 43_200), ("30d", 2_592_000), ("4W", 2_419_200), (" 1m ", 60)],
)
def test_a_lifetime_is_a_number_and_a_unit(
    run: Run, gateway_db: Database, expires: str, seconds: int
) -> None:
    made = run("create", "--name", "x", "--scope", "orders:read", "--expires", expires)
    assert made.exit_code == 0, made.output
    assert rows(gateway_db, "extract(epoch FROM expires_at - created_at)::int") == [(seconds,)]


@pytest.mark.parametrize(
    "expires",
    ["", "30", "d", "0d", "-1d", "1.5h", "30 d", "30y", "tomorrow", "999999d", "9999999999d", "٣d"],
)
def test_an_invalid_lifetime_is_a_usage_error(run: Run, gateway_db: Database, expires: str) -> None:
    made = run("create", "--name", "x", "--scope", "orders:read", f"--expires={expires}")
    assert (made.exit_code, made.stdout) == (2, "")
    assert "--expires" in made.stderr
    assert rows(gateway_db, "name") == []


@pytest.mark.parametrize(
    "scope",
    [
        "",
        "orders",
        "orders:",
        ":read",
        "orders:delete",
        "cinema:read",
        "orders:read,",
        "all",
        "none",
    ],
)
def test_an_invalid_scope_is_a_usage_error(run: Run, gateway_db: Database, scope: str) -> None:
    made = run("create", "--name", "x", "--scope", scope)
    assert (made.exit_code, made.stdout) == (2, "")
    assert "--scope" in made.stderr and f"'{scope.split(',')[-1]}'" in made.stderr
    assert rows(gateway_db, "name") == []


@pytest.mark.parametrize("name", ["", "a b", "anonymous", "bootstrap"])
def test_an_invalid_name_is_a_usage_error(run: Run, name: str) -> None:
    made = run("create", "--name", name, "--scope", "orders:read")
    assert (made.exit_code, made.stdout) == (2, "")
    assert "name: must" in made.stderr


@pytest.mark.parametrize("missing", ["--name", "--scope"])
def test_name_and_scope_must_be_given(run: Run, missing: str) -> None:
    given = {"--name": "x", "--scope": "orders:read"}
    del given[missing]
    made = run("create", *next(iter(given.items())))
    assert made.exit_code == 2
    assert missing in made.stderr


def test_a_name_that_is_taken_is_reported_in_one_sentence(run: Run) -> None:
    run("create", "--name", "shop", "--scope", "orders:read")
    again = run("create", "--name", "shop", "--scope", "orders:read")
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr.startswith("Error: There is a token shop already")


def test_revoking_reports_its_effect_and_has_it_once(run: Run) -> None:
    run("create", "--name", "shop", "--scope", "orders:read")
    first, second = run("revoke", "shop"), run("revoke", "shop")
    assert (first.exit_code, first.stdout) == (0, "revoked shop\n")
    assert second.exit_code == 1
    assert "no token shop" in second.stderr


@pytest.mark.parametrize("command", [["list"], ["revoke", "x"]])
def test_a_database_that_is_unavailable_is_reported_in_one_sentence(
    run: Run, command: list[str]
) -> None:
    port = free_port()
    answer = run(*command, GATEWAY_DB_PORT=str(port))
    assert answer.exit_code == 1
    assert answer.stderr == (
        f"Error: the database does not answer at 127.0.0.1:{port} (connection refused): "
        "./stack up starts it; on a machine, sudo systemctl start postgresql\n"
    )


def test_a_refused_login_does_not_start_the_database(run: Run) -> None:
    answer = run("list", GATEWAY_DB_PASSWORD="wrong")
    assert answer.exit_code == 1
    assert "refuses: password authentication failed for user" in answer.stderr
    assert "./stack up" not in answer.stderr


def test_no_command_shows_the_bootstrap_token(run: Run) -> None:
    for command in (["list"], ["create", "--name", "x", "--scope", "all:read"], ["--help"]):
        assert "top-secret-token" not in run(*command, API_TOKEN="top-secret-token").output
    wrong = run("list", API_TOKEN="top secret token")
    assert wrong.exit_code == 1
    assert "API_TOKEN" in wrong.stderr and "top secret" not in wrong.output
