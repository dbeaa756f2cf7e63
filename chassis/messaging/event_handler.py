"""Events from a queue: each is applied once; a batch is one transaction.

A new type of event is published by a service's events.py, handled by a consumer.py, bound to its
queue in topology.yml, and described in docs/messages.md.
"""

import logging
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy import Connection

from chassis import trace
from chassis.errors import InvalidError, MalformedJsonError
from chassis.messaging.delivery import Delivery, RejectedError
from chassis.schema.decoding import decode
from chassis.schema.fields import NO_NUL
from chassis.schema.validation import validated
from chassis.storage import after_commit, database, inbox
from chassis.storage.database import Database
from chassis.trace import Trace

logger = logging.getLogger(__name__)
DataT = TypeVar("DataT", bound="EventData")


class EventData(BaseModel):
    """What a service reads of an event's `data`; it ignores unknown members."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @property
    def aggregate(self) -> Hashable | None:
        """What the event is about; events of one aggregate keep their order. None: no order."""
        return None


class Envelope(EventData):
    """The attributes of a CloudEvent that are read."""

    # an id too long for the index would stop all events behind it
    id: Annotated[str, StringConstraints(min_length=1, max_length=255), NO_NUL]
    type: str
    time: Any = None
    data: dict[str, Any]


@dataclass(frozen=True)
class _Readable(Generic[DataT]):
    """A type of event that a service reads.

    Attributes:
        exchange: the one that the events are published to; `DIRECT` if they are sent to the queue.
        data: the schema of the event's `data`.
    """

    exchange: str
    data: type[DataT]

    def read(self, envelope: Envelope) -> DataT:
        """Return the data that the reaction needs.

        Raises:
            InvalidError: the data do not fit the type.
        """
        return validated(self.data, envelope.data)


@dataclass(frozen=True)
class Reaction(_Readable[DataT]):
    """What a service does about one event of a type.

    Attributes:
        act: called in the transaction, with the event's id; it publishes messages through the
            outbox.
    """

    act: Callable[[Connection, DataT, str], object]


@dataclass(frozen=True)
class BatchReaction(_Readable[DataT]):
    """What a service does about many events at once, so that a batch needs few statements.

    Attributes:
        act: called in the transaction with consecutive events of a batch, in order: all those whose
            types share this function. What it publishes or logs about an event belongs to that
            event's trace. The result is the same as if it got the events one by one.
    """

    act: "Callable[[Connection, Sequence[ReceivedEvent]], object]"


AnyReaction = Reaction[Any] | BatchReaction[Any]


@dataclass(frozen=True)
class ReceivedEvent:
    """A received event; `reaction` is None for a type that this service ignores."""

    id: str
    type: str
    data: EventData
    reaction: AnyReaction | None
    trace: Trace


Lock = Callable[[Connection, Sequence[ReceivedEvent]], object]


class EventHandler:
    """Applies events by their type."""

    def __init__(
        self,
        database: Database,
        consumer: str,
        reactions: Mapping[str, AnyReaction],
        lock: Lock = lambda connection, events: None,
    ) -> None:
        """Prepare a handler.

        Args:
            database: with the inbox and the tables that the reactions change.
            consumer: the process that applies the events; the inbox marks them with its name.
            reactions: what to do, by `type` of event; other types are ignored.
            lock: called first in each transaction; it locks the rows to change, in one order.
        """
        self._database = database
        self._consumer = consumer
        self._reactions = reactions
        self.exchanges = {type: reaction.exchange for type, reaction in reactions.items()}
        """The exchange of each type of event that it reacts to."""
        self._lock = lock

    def parse(self, delivery: Delivery) -> ReceivedEvent:
        """Read a CloudEvent.

        Raises:
            RejectedError: it is not a CloudEvent, or its data do not fit its type.
        """
        try:
            envelope = validated(Envelope, decode(delivery.body))
            reaction = self._reactions.get(envelope.type)
            data = reaction.read(envelope) if reaction else EventData()
        except MalformedJsonError as error:
            raise RejectedError(f"The body {error}.") from None
        except InvalidError as error:
            raise RejectedError(str(error)) from None
        current = trace.continued(delivery.headers)
        return ReceivedEvent(envelope.id, envelope.type, data, reaction, current)

    def aggregate(self, item: ReceivedEvent) -> Hashable | None:
        """Return what an event is about."""
        return item.data.aggregate

    def apply(self, items: Sequence[ReceivedEvent], lock_seconds: float | None = None) -> None:
        """Apply the events that were not applied before, in order, in one transaction."""
        with self._database.transaction(lock_seconds) as connection:
            new = inbox.mark_applied(connection, self._consumer, [item.id for item in items])
            # of duplicates in this batch, the first
            first = {item.id: item for item in reversed(items)}
            fresh = [item for item in items if item.id in new and item is first[item.id]]
            self._lock(connection, fresh)
            for run in runs(fresh):
                _react(connection, run)

    def check(self) -> None:
        """Raise what is wrong if the database does not answer."""
        self._database.check()

    def is_outage(self, error: Exception) -> bool:
        """Return whether the database is unavailable or misconfigured: no message is at fault."""
        return database.is_outage(error)


def runs(items: Sequence[ReceivedEvent]) -> Iterator[list[ReceivedEvent]]:
    """Yield the events in order, those together that are applied together."""
    for _act, run in groupby(items, _shared):
        yield list(run)


def _shared(item: ReceivedEvent) -> object:
    """Return what consecutive events have in common that are applied together."""
    return item.reaction.act if isinstance(item.reaction, BatchReaction) else None


def _react(connection: Connection, items: Sequence[ReceivedEvent]) -> None:
    reaction = items[0].reaction
    if isinstance(reaction, BatchReaction):
        reaction.act(connection, items)
    for item in items:
        with trace.within(item.trace):
            if isinstance(item.reaction, Reaction):
                item.reaction.act(connection, item.data, item.id)
            _note_applied(connection, item)


def _note_applied(connection: Connection, item: ReceivedEvent) -> None:
    if item.reaction is not None:
        extra = {"event_id": item.id, "event_type": item.type}
        after_commit.log(connection, logger, "event applied", extra)
