"""The poison of drills: what it is, and whether the dead-letter queues show it."""

import struct
from unittest.mock import Mock

import pytest
from pika import data

from chassis.messaging.amqp_tables import RawValue
from tools.drills import catalogue
from tools.drills.checks.findings import WRONG
from tools.drills.experiment import _expected_dead_letters
from tools.drills.messages import Message
from tools.drills.workload import poison


def _headers_as_sent(message: Message) -> bytes:
    pieces: list[bytes] = []
    data.encode_table(pieces, dict(message.headers))
    return b"".join(pieces)


def test_pika_alone_cannot_read_the_headers() -> None:
    sent = {_headers_as_sent(m) for part in poison.HEADERS for m in part.messages("x")}
    assert len(sent) == 2
    assert any(b"T" + struct.pack(">Q", 1_772_000_000_000) in table for table in sent)
    assert any(table.count(b"A\x00") >= 1999 for table in sent)


def test_arrays_are_nested_as_deep_as_asked() -> None:
    pieces: list[bytes] = []
    data.encode_value(pieces, [[[]]])
    assert poison.nested(3) == RawValue(b"A", b"".join(pieces)[1:])


@pytest.mark.parametrize("name", ["poison-flood", "poison-header"])
def test_each_poison_has_an_id_of_its_own_and_its_place_in_dead_letters(name: str) -> None:
    [drill] = catalogue.chosen([name])
    ids = [m.id for part in drill.poison for m in part.messages("x")]
    assert len(ids) == len(set(ids)) == sum(part.count for part in drill.poison)
    expected = _expected_dead_letters({"billing_queue.dlq": 3, "mail_inbox.dlq": 1}, drill)
    assert expected["mail_inbox.dlq"] == 1
    assert expected["billing_queue.dlq"] == 3 + drill.poison[0].count
    assert sum(expected.values()) == 4 + len(ids)


def test_poison_that_dlq_list_does_not_show_is_found() -> None:
    part = poison.Poison("billing", poison.BILLS, 2)
    first, second = part.ids("x")
    platform = Mock()
    platform.command.return_value = f"{first}  2026-11-28T12:00:00+00:00  no JSON  {{\n"
    [finding] = poison.not_listed(platform, "x", [part])
    assert finding.verdict == WRONG
    assert finding.words == f"`billing dlq list` does not show 1 of 2, such as {second}"
    platform.command.return_value += f"{second}  -  no JSON  {{\n"
    assert poison.not_listed(platform, "x", [part]) == []


def test_poison_is_thrown_away_where_it_is() -> None:
    platform = Mock()
    poison.discard(platform, "x", poison.HEADERS)
    called = [call.args for call in platform.command.call_args_list]
    assert [args[:3] for args in called] == [
        ("billing", "dlq", "discard"),
        ("inventory", "dlq", "discard"),
    ]
    assert [list(args[3:]) for args in called] == [part.ids("x") for part in poison.HEADERS]
