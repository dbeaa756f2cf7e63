"""Work on a dead-letter queue by hand: `dlq list|show|requeue|discard`.

It uses pika's BlockingConnection: a command has nothing to do but wait.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import click
import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from chassis.cli import Group, echo, say_nothing_found
from chassis.messaging import broker
from chassis.messaging.dead_letters import REASON, TIME, carried, described
from chassis.messaging.declarations import dead_letter_queue
from chassis.messaging.short_strings import as_text
from chassis.printable import escaped_line
from chassis.settings import BrokerSettings

_BLOCKED_SECONDS = 5  # that a broker may block publishers before a command gives up
_ACKS = 16  # in flight at most: a quorum queue may drop more when the channel is closed


@dataclass(frozen=True)
class DeadLetter:
    """A message in the dead-letter queue, held until the channel is closed."""

    tag: int
    body: bytes
    properties: pika.BasicProperties

    @property
    def id(self) -> str:
        """The message id by which the commands name it."""
        return escaped_line(as_text(self.properties.message_id or "-"))

    @property
    def reason(self) -> str:
        """Why it was dead-lettered."""
        headers = self.properties.headers or {}
        return str(headers.get(REASON) or headers.get("x-first-death-reason") or "unknown")

    @property
    def time(self) -> str:
        """When it was dead-lettered, in RFC 3339."""
        seconds = (self.properties.headers or {}).get(TIME)
        try:
            return datetime.fromtimestamp(int(str(seconds)), timezone.utc).isoformat()
        except (ValueError, OverflowError, OSError):
            return "-"

    @property
    def text(self) -> str:
        """The body; bytes that are not UTF-8 are escaped."""
        return self.body.decode(errors="backslashreplace")


_ID = "2b3f47f7-435f-4c9d-94e5-851b0817eb05"  # of the examples
Act = Callable[[BlockingChannel, DeadLetter], None]


class DeadLetterQueue:
    """Reads and empties `queue`, the dead-letter queue of `settings.queue`."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self.queue = dead_letter_queue(settings.queue)

    def messages(self) -> list[DeadLetter]:
        """Return all messages of the queue, which keeps them."""
        with self._channel() as channel:
            return list(self._held(channel))

    def requeue(self, ids: set[str]) -> int:
        """Send messages (all if `ids` is empty) back to their queue, with the same ids."""

        def publish(channel: BlockingChannel, message: DeadLetter) -> None:
            properties = pika.BasicProperties(
                delivery_mode=pika.DeliveryMode.Persistent,
                message_id=message.properties.message_id,
                headers=carried(message.properties),
                **described(message.properties),
            )
            channel.basic_publish("", self._settings.queue, message.body, properties, True)

        return self._each(ids, publish)

    def discard(self, ids: set[str]) -> int:
        """Delete messages (all if `ids` is empty)."""
        return self._each(ids, lambda _channel, _message: None)

    def _each(self, ids: set[str], act: Act) -> int:
        with self._channel() as channel:
            chosen = [message for message in self._held(channel) if not ids or message.id in ids]
            for number, message in enumerate(chosen, start=1):
                act(channel, message)
                channel.basic_ack(message.tag)
                if number % _ACKS == 0 or number == len(chosen):
                    self._wait_until_settled(channel)
        return len(chosen)

    def _wait_until_settled(self, channel: BlockingChannel) -> None:
        """Wait until the queue has taken the acknowledgements, which the broker does not answer.

        The queue itself answers a get, after everything before it. If a closing channel has not
        passed on an acknowledgement, the message returns to the queue:
        https://github.com/rabbitmq/rabbitmq-server/issues/10327
        """
        channel.basic_get(self.queue)

    @contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        parameters = broker.parameters(self._settings, "dead letter commands", _BLOCKED_SECONDS)
        try:
            with pika.BlockingConnection(parameters) as connection:
                channel = connection.channel()
                channel.confirm_delivery()
                yield channel
        except AMQPError as error:
            raise click.ClickException(broker.failure(error, self._settings)) from None

    def _held(self, channel: BlockingChannel) -> Iterator[DeadLetter]:
        while True:
            method, properties, body = channel.basic_get(self.queue)
            if method is None or properties is None:
                return
            yield DeadLetter(int(method.delivery_tag or 0), body or b"", properties)


OpenQueue = Callable[[], DeadLetterQueue]


def commands(settings: Callable[[], BrokerSettings], queues: Sequence[str] = ()) -> Group:
    """Return the command group `dlq`.

    Args:
        settings: reads the broker's address; its `queue` is the default of `--queue`.
        queues: further queues that `--queue` may name.
    """

    @click.group(cls=Group)
    @click.option("--queue", help=_help(queues))
    @click.pass_context
    def dlq(context: click.Context, queue: str | None) -> None:
        """List, show, requeue or discard messages that could not be processed."""
        # read only when a command runs: --help works without settings
        context.obj = lambda: _dead_letter_queue(settings(), queue, queues)

    @dlq.command("list")
    @click.pass_obj
    def list_(open_queue: OpenQueue) -> None:
        """Print a line for each message: id, time, reason, body."""
        queue = open_queue()
        messages = queue.messages()
        if not messages:
            say_nothing_found(f"{queue.queue} is empty")
        for message in messages:
            body = message.text.replace("\n", " ")[:80]
            echo(escaped_line(f"{message.id}  {message.time}  {message.reason}  {body}"))

    @dlq.command(example=f"{{}} {_ID}")
    @click.argument("message_id")
    @click.pass_obj
    def show(open_queue: OpenQueue, message_id: str) -> None:
        """Show the headers and the whole body of one message."""
        found = [message for message in open_queue().messages() if message.id == message_id]
        if not found:
            raise click.ClickException(f"no dead letter has the id {message_id}")
        for message in found:
            echo(json.dumps(_shown(message.properties.headers), indent=2, default=str))
            echo(message.text)

    _selecting(dlq, "requeue", "requeued", DeadLetterQueue.requeue)
    _selecting(dlq, "discard", "discarded", DeadLetterQueue.discard)
    return dlq


def _shown(value: Any) -> Any:
    """Return a header's value, or all headers, as JSON can show it."""
    if isinstance(value, dict):
        return {as_text(name): _shown(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shown(one) for one in value]
    return as_text(value) if isinstance(value, bytes) else value


def _selecting(
    group: Group, name: str, done: str, act: Callable[[DeadLetterQueue, set[str]], int]
) -> None:
    @group.command(
        name,
        help=f"{name.capitalize()} messages by id, or all of them.",
        example=f"{{}} {_ID}\n{{}} --all",
    )
    @click.argument("message_ids", nargs=-1)
    @click.option("--all", "everything", is_flag=True, help="All messages of the queue.")
    @click.pass_obj
    def command(open_queue: OpenQueue, message_ids: tuple[str, ...], everything: bool) -> None:
        if everything == bool(message_ids):
            raise click.UsageError("name message ids, or say --all")
        count = act(open_queue(), set(message_ids))
        echo(f"{done} {count}")
        if message_ids and count < len(set(message_ids)):
            raise click.ClickException("some of these ids are not in the dead-letter queue")


def _help(queues: Sequence[str]) -> str:
    others = f"; others: {', '.join(queues)}" if queues else ""
    return f"Whose dead letters; by default the service's first queue{others}."


def _dead_letter_queue(
    settings: BrokerSettings, queue: str | None, queues: Sequence[str]
) -> DeadLetterQueue:
    known = (settings.queue, *queues)
    if queue is not None and queue not in known:
        raise click.BadParameter(f"the queues are {', '.join(known)}", param_hint="--queue")
    return DeadLetterQueue(settings.for_queue(queue or settings.queue))
