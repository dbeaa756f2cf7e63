"""Messages that no consumer can process."""

import itertools
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chassis.messaging.amqp_tables import RawValue
from tools.drills.checks.findings import WRONG, Finding
from tools.drills.fault_context import FaultContext
from tools.drills.messages import Message
from tools.drills.targets.platform import Platform

BILLS = "billing_queue"
BODIES = (b"", b"no bill", b"{", b"[]", b'{"user_id": 1}', b"\xff\xfe", b"null", b"[" * 5000)
# in how many turns the unreadable messages are published during the traffic
TURNS = 10


def nested(depth: int) -> RawValue:
    """An array in an array in an array."""
    data = b""
    for _ in range(depth - 1):
        data = b"A" + struct.pack(">I", len(data)) + data
    return RawValue(b"A", struct.pack(">I", len(data)) + data)


# milliseconds where AMQP has seconds: some 54,000 years from now
MILLISECONDS = RawValue(b"T", struct.pack(">Q", 1_772_000_000_000))
UNREADABLE = ({"time": MILLISECONDS}, {"nested": nested(2000)})


@dataclass(frozen=True)
class Poison:
    """Messages that are published to one queue and have to become its dead letters.

    Attributes:
        service: the one whose `dlq` command works on the queue.
        queue: where they are published.
        count: how many messages.
        headers: used in turn.
    """

    service: str
    queue: str
    count: int
    headers: Sequence[Mapping[str, Any]] = ({},)

    def ids(self, run: str) -> list[str]:
        """The ids of these messages."""
        return [f"drill-{run}-poison-{self.queue}-{number}" for number in range(self.count)]

    def messages(self, run: str) -> list[Message]:
        """The messages."""
        kinds = zip(
            self.ids(run), itertools.cycle(BODIES), itertools.cycle(self.headers), strict=False
        )
        return [Message(self.queue, name, body, headers) for name, body, headers in kinds]


FLOOD = (Poison("billing", BILLS, 400),)
HEADERS = (
    Poison("billing", BILLS, 20, UNREADABLE),
    Poison("inventory", "inventory_inbox", 20, UNREADABLE),
)


def flood(context: FaultContext) -> None:
    """A flood of messages that are not bills is published to billing_queue."""
    messages = _messages(context, FLOOD)
    context.platform.publish(messages)
    context.note(f"{len(messages)} messages that are not bills")


def headers(context: FaultContext) -> None:
    """Messages whose headers pika can't read are published to two queues, a few at a time."""
    messages = _messages(context, HEADERS)
    for turn in range(TURNS):
        context.hold(1 / TURNS)
        some = messages[turn::TURNS]
        context.platform.publish(some)
        context.note(f"{len(some)} messages with unreadable headers")


def _messages(context: FaultContext, poisons: Sequence[Poison]) -> list[Message]:
    return [message for poison in poisons for message in poison.messages(context.run)]


def not_listed(platform: Platform, run: str, poisons: Sequence[Poison]) -> list[Finding]:
    """The poison that `dlq list` does not show. Raises StackError if the command fails."""
    found = []
    for poison in poisons:
        listing = platform.command(poison.service, "dlq", "list")
        shown = {line.partition(" ")[0] for line in listing.splitlines()}
        if missing := [name for name in poison.ids(run) if name not in shown]:
            words = f"`{poison.service} dlq list` does not show {len(missing)} of {poison.count}"
            found.append(Finding(WRONG, poison.queue, f"{words}, such as {missing[0]}"))
    return found


def discard(platform: Platform, run: str, poisons: Sequence[Poison]) -> None:
    """Discard the poison. Raises StackError."""
    for poison in poisons:
        platform.command(poison.service, "dlq", "discard", *poison.ids(run))
