"""Every command prints data through the one function that spells what would steer a terminal."""

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from unittest.mock import Mock

import pika
import pytest
from click.testing import CliRunner

from chassis import cli
from chassis.logs import Formatter
from chassis.messaging import dlq_commands
from chassis.messaging.dlq_commands import DeadLetter, DeadLetterQueue
from chassis.printable import escaped
from gateway.auth import commands as token_commands
from gateway.auth import tokens
from orders.imports import command as importing
from orders.mail import commands as mail_commands
from tests.support.mailing import EPOCH
from tools.drills import command
from tools.stack import console, events, trace
from tools.stack.layout import CHECKOUT, SERVICES
from tools.stack.logs import recent

EVIL = "\x1b]0;owned\x07\x9b2J\u202e\u2066\u2028\x7f"
SPELLED = escaped(EVIL)
PRINTS = re.compile(r"click\.echo\(|\bprint\(|sys\.std(out|err)\.write\(")
# each of them with `escaped`, or with nothing but words of their own
WITH_REASON = {
    "chassis/cli.py",
    "chassis/check_settings.py",
    "chassis/migrate.py",
    "chassis/pm2.py",
    "tools/stack/console.py",
    "tools/stack/command_line.py",
    "tools/stack/commands.py",
    "tools/stack/did_you_mean.py",
    "tools/stack/progress.py",
    "tools/drills/command.py",
}


def modules() -> Iterator[Path]:
    """All modules of the services, the chassis and ./stack."""
    for name in ("chassis", "tools/stack", "tools/drills", *SERVICES):
        yield from (CHECKOUT / name).rglob("*.py")


def test_nothing_is_printed_but_by_the_function_that_escapes() -> None:
    found = {
        str(module.relative_to(CHECKOUT))
        for module in modules()
        if PRINTS.search(module.read_text())
    }
    assert found <= WITH_REASON


def harmless(text: str) -> None:
    """Check that a terminal has nothing to obey, and that what was meant can be seen."""
    assert escaped(text) == text
    assert SPELLED in text or json.dumps(EVIL)[1:-1] in text, text


def test_dead_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"x-dead-letter-reason": EVIL, f"n{EVIL}": EVIL}
    properties = pika.BasicProperties(message_id=EVIL, headers=headers)
    message = DeadLetter(1, EVIL.encode(), properties)
    monkeypatch.setattr(DeadLetterQueue, "messages", lambda _self: [message])
    dlq = cli.group("billing", dlq=dlq_commands.commands(lambda: Mock(queue="q")))
    listed = CliRunner().invoke(dlq, ["dlq", "list"]).output
    harmless(listed)
    assert len(listed.splitlines()) == 1
    harmless(CliRunner().invoke(dlq, ["dlq", "show", EVIL]).output)
    harmless(CliRunner().invoke(dlq, ["dlq", "show", f"none{EVIL}"]).output)


def test_mails(monkeypatch: pytest.MonkeyPatch) -> None:
    message = EmailMessage()
    message.set_content(EVIL)
    message["Date"] = EPOCH
    for name in ("Subject", "X-Order-ID"):
        message.set_raw(name, EVIL)
    written = mail_commands.WrittenMail("id", "waiting", f"{EVIL}@x.test", message)
    monkeypatch.setattr(mail_commands, "_read", lambda _settings: [written])
    monkeypatch.setattr("orders.settings.load", Mock())
    harmless(CliRunner().invoke(mail_commands.mail, ["list"]).output)
    harmless(CliRunner().invoke(mail_commands.mail, ["show", "id"]).output)


def test_errors_of_an_import(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(f"order_id,customer_id,total_amount,status\n{EVIL},1,{EVIL},{EVIL}\n")
    orders = cli.group("orders", **{"import": importing.import_})
    result = CliRunner().invoke(orders, ["import", str(file)])
    assert result.exit_code == 1
    assert escaped(result.output) == result.output
    assert r"\x1b]0;owned" in result.output


def test_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"name": EVIL, "scopes": ["all"], "created_at": EPOCH, "expires_at": None, "state": "-"}
    monkeypatch.setattr(token_commands, "_transaction", Mock(return_value=Mock(
        __enter__=Mock(), __exit__=Mock(return_value=False))))  # fmt: skip
    monkeypatch.setattr(tokens, "find_all", lambda _connection: [row])
    harmless(CliRunner().invoke(token_commands.token, ["list"]).output)


def test_log_lines_mean_what_was_logged() -> None:
    record = logging.LogRecord("n", logging.INFO, "", 0, f"said {EVIL}", None, None)
    record.reason = EVIL
    line = Formatter("process").format(record)
    harmless(line)
    assert json.loads(line)["reason"] == EVIL
    assert json.loads(line)["message"] == f"said {EVIL}"


def test_the_output_of_stack(capsys: pytest.CaptureFixture[str]) -> None:
    console.say(EVIL)
    harmless(capsys.readouterr().out)


def test_a_trace_and_events_and_logs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "billing-api-out.log").write_text(f"the-id {EVIL}\n")
    for line in trace.find(tmp_path, "the-id"):
        console.say(line)
    harmless(capfd.readouterr().out)
    console.say(events.line("key", pika.BasicProperties(message_id=EVIL), EVIL.encode()))
    harmless(capfd.readouterr().out)
    for line in recent([tmp_path / "billing-api-out.log"], 5)[0]:
        console.say(line)
    harmless(capfd.readouterr().out)


def test_the_progress_of_a_drill(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    command.progress(EVIL)
    assert terminal.getvalue() == f"\r\x1b[K{SPELLED}"
