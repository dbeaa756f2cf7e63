"""Messages that no consumer can take."""

import itertools
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chassis.messaging.amqp_tables import RawValue
from tools.drills.checks.findings import WRONG, Finding
from tools.drills.fault_context import Scene
from tools.drills.messages import Message
from tools.drills.targets.platform import Platform

BILLS = "billing_queue"
BODIES = (b"", b"no bill", b"{", b"[]", b'{"user_id": 1}', b"\xff\xfe", b"null", b"[" * 5000)
# so many turns has the poison that comes while the traffic goes on
TURNS = 10


def nested(depth: int) -> RawValue:
    """An array in an array in an array."""
    data = b""
    for _ in range(depth - 1):
        data = b"A" + struct.pack(">I", len(data)) + data
    return RawValue(b"A", struct.pack(">I", len(data)) + data)


# a time in milliseconds, where AMQP has seconds: some 54,000 years from now
MILLISECONDS = RawValue(b"T", struct.pack(">Q", 1_772_000_000_000))
UNREADABLE = ({"time": MILLISECONDS}, {"nested": nested(2000)})


@dataclass(frozen=True)
class Poison:
    """What is put into one queue, and belongs into its dead letters.

    Attributes:
        service: whose `dlq` works on the queue.
        queue: the queue.
        count: how many messages.
        headers: those of the messages, in turn.
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


def flood(scene: Scene) -> None:
    """A flood of messages that are no bills comes into billing_queue."""
    messages = _messages(scene, FLOOD)
    scene.platform.publish(messages)
    scene.note(f"{len(messages)} messages that are no bills")


def headers(scene: Scene) -> None:
    """Messages whose headers pika can't read come into two queues, a few at a time."""
    messages = _messages(scene, HEADERS)
    for turn in range(TURNS):
        scene.hold(1 / TURNS)
        some = messages[turn::TURNS]
        scene.platform.publish(some)
        scene.note(f"{len(some)} messages with headers that are hard to read")


def _messages(scene: Scene, poisons: Sequence[Poison]) -> list[Message]:
    return [message for poison in poisons for message in poison.messages(scene.run)]


def unlisted(platform: Platform, run: str, poisons: Sequence[Poison]) -> list[Finding]:
    """What `dlq list` does not show of the poison. Raises StackError when it shows nothing."""
    found = []
    for poison in poisons:
        listing = platform.command(poison.service, "dlq", "list")
        shown = {line.partition(" ")[0] for line in listing.splitlines()}
        if missing := [name for name in poison.ids(run) if name not in shown]:
            words = f"`{poison.service} dlq list` does not show {len(missing)} of {poison.count}"
            found.append(Finding(WRONG, poison.queue, f"{words}, such as {missing[0]}"))
    return found


def discard(platform: Platform, run: str, poisons: Sequence[Poison]) -> None:
    """Throw the poison away. Raises StackError."""
    for poison in poisons:
        platform.command(poison.service, "dlq", "discard", *poison.ids(run))
