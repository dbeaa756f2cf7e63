"""Work on a dead-letter queue by hand: `dlq list|show|requeue|discard`.

The one place that uses pika's BlockingConnection: a command has nothing to do but wait.
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
from chassis.messaging.short_strings import as_text
from chassis.messaging.topology import dead_letter_queue
from chassis.printable import escaped_line
from chassis.settings import BrokerSettings

_BLOCKED_SECONDS = 5  # that a broker may refuse to take messages before a command gives up
_ACKS = 16  # of which a quorum queue has more under way, it may drop when the channel is closed


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
        """Why it is here."""
        headers = self.properties.headers or {}
        return str(headers.get(REASON) or headers.get("x-first-death-reason") or "unknown")

    @property
    def time(self) -> str:
        """When it was put aside, in RFC 3339."""
        seconds = (self.properties.headers or {}).get(TIME)
        try:
            return datetime.fromtimestamp(int(str(seconds)), timezone.utc).isoformat()
        except (ValueError, OverflowError, OSError):
            return "-"

    @property
    def text(self) -> str:
        """The body, as far as it is text."""
        return self.body.decode(errors="backslashreplace")


_ID = "2b3f47f7-435f-4c9d-94e5-851b0817eb05"  # of the examples
Act = Callable[[BlockingChannel, DeadLetter], None]


class DeadLetterOffice:
    """Reads and empties `queue`, the dead-letter queue of `settings.queue`."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self.queue = dead_letter_queue(settings.queue)

    def letters(self) -> list[DeadLetter]:
        """Return all that is in the queue; it stays there."""
        with self._channel() as channel:
            return list(self._held(channel))

    def requeue(self, ids: set[str]) -> int:
        """Send messages (all if `ids` is empty) back to their queue, with the same ids."""

        def publish(channel: BlockingChannel, letter: DeadLetter) -> None:
            properties = pika.BasicProperties(
                delivery_mode=pika.DeliveryMode.Persistent,
                message_id=letter.properties.message_id,
                headers=carried(letter.properties),
                **described(letter.properties),
            )
            channel.basic_publish("", self._settings.queue, letter.body, properties, True)

        return self._each(ids, publish)

    def discard(self, ids: set[str]) -> int:
        """Delete messages (all if `ids` is empty)."""
        return self._each(ids, lambda _channel, _letter: None)

    def _each(self, ids: set[str], act: Act) -> int:
        with self._channel() as channel:
            chosen = [letter for letter in self._held(channel) if not ids or letter.id in ids]
            for number, letter in enumerate(chosen, start=1):
                act(channel, letter)
                channel.basic_ack(letter.tag)
                if number % _ACKS == 0 or number == len(chosen):
                    self._wait_until_settled(channel)
        return len(chosen)

    def _wait_until_settled(self, channel: BlockingChannel) -> None:
        """Return when the queue has taken the acknowledgements; the broker answers none of them.

        A get is answered by the queue itself, after all that came before it. Of acknowledgements
        that a closing channel has not handed on, the messages return to the queue:
        https://github.com/rabbitmq/rabbitmq-server/issues/10327
        """
        channel.basic_get(self.queue)

    @contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        parameters = broker.parameters(self._settings, "dead letter office", _BLOCKED_SECONDS)
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


Office = Callable[[], DeadLetterOffice]


def commands(settings: Callable[[], BrokerSettings], queues: Sequence[str] = ()) -> Group:
    """Return the command group `dlq`.

    Args:
        settings: reads where the broker is; `queue` of it is the one to work on unless another is
            named.
        queues: the further queues that `--queue` may name.
    """

    @click.group(cls=Group)
    @click.option("--queue", help=_help(queues))
    @click.pass_context
    def dlq(context: click.Context, queue: str | None) -> None:
        """List, show, requeue or discard what could not be processed."""
        # read when a command needs it: its --help works without settings
        context.obj = lambda: _office(settings(), queue, queues)

    @dlq.command("list")
    @click.pass_obj
    def list_(office: Office) -> None:
        """One line for each message: id, time, reason, body."""
        opened = office()
        letters = opened.letters()
        if not letters:
            say_nothing_found(f"{opened.queue} is empty")
        for letter in letters:
            body = letter.text.replace("\n", " ")[:80]
            echo(escaped_line(f"{letter.id}  {letter.time}  {letter.reason}  {body}"))

    @dlq.command(example=f"{{}} {_ID}")
    @click.argument("message_id")
    @click.pass_obj
    def show(office: Office, message_id: str) -> None:
        """Show one message whole."""
        found = [letter for letter in office().letters() if letter.id == message_id]
        if not found:
            raise click.ClickException(f"no dead letter has the id {message_id}")
        for letter in found:
            echo(json.dumps(_shown(letter.properties.headers), indent=2, default=str))
            echo(letter.text)

    _selecting(dlq, "requeue", "requeued", DeadLetterOffice.requeue)
    _selecting(dlq, "discard", "discarded", DeadLetterOffice.discard)
    return dlq


def _shown(value: Any) -> Any:
    """Return a header's value, or all headers, as JSON can show it."""
    if isinstance(value, dict):
        return {as_text(name): _shown(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shown(one) for one in value]
    return as_text(value) if isinstance(value, bytes) else value


def _selecting(
    group: Group, name: str, done: str, act: Callable[[DeadLetterOffice, set[str]], int]
) -> None:
    @group.command(
        name,
        help=f"{name.capitalize()} messages by id, or all of them.",
        example=f"{{}} {_ID}\n{{}} --all",
    )
    @click.argument("message_ids", nargs=-1)
    @click.option("--all", "everything", is_flag=True, help="All that is in the queue.")
    @click.pass_obj
    def command(office: Office, message_ids: tuple[str, ...], everything: bool) -> None:
        if everything == bool(message_ids):
            raise click.UsageError("name message ids, or say --all")
        count = act(office(), set(message_ids))
        echo(f"{done} {count}")
        if message_ids and count < len(set(message_ids)):
            raise click.ClickException("some of these ids are not in the dead-letter queue")


def _help(queues: Sequence[str]) -> str:
    others = f"; others: {', '.join(queues)}" if queues else ""
    return f"Whose dead letters; by default the service's first queue{others}."


def _office(settings: BrokerSettings, queue: str | None, queues: Sequence[str]) -> DeadLetterOffice:
    known = (settings.queue, *queues)
    if queue is not None and queue not in known:
        raise click.BadParameter(f"the queues are {', '.join(known)}", param_hint="--queue")
    return DeadLetterOffice(settings.for_queue(queue or settings.queue))
