"""Messages are written and read as pika does it, byte by byte and field by field."""

from dataclasses import replace
from typing import Any

import pika
import pytest
from pika import frame, spec

from chassis.messaging import broker
from chassis.messaging.frames import FrameConnection
from chassis.messaging.message import Message

NUMBER, FRAME_MAX, TIME = 3, 4096, 1_700_000_000
HEADERS = {"X-Request-ID": "a" * 32, "traceparent": "00-" + "b" * 32 + "-" + "c" * 16 + "-01"}
MESSAGE = Message(b'{"n": 1}', "billing_queue", "", "id-1", HEADERS)
MESSAGES = [
    MESSAGE,
    replace(MESSAGE, exchange="events", routing_key="a.b.c", mandatory=False),
    replace(MESSAGE, headers={}, content_type="application/cloudevents+json"),
    replace(MESSAGE, headers={"größe": "naïve"}, id="ü" * 100),
    replace(MESSAGE, headers={"count": 3, "list": [1, "two", None]}),
    replace(MESSAGE, body=b""),
    replace(MESSAGE, body=b"x" * (FRAME_MAX - 8)),
    replace(MESSAGE, body=b"x" * (3 * FRAME_MAX)),
    replace(MESSAGE, properties={"type": "bill", "priority": 1}),
    replace(MESSAGE, id="\udcff\udcfe"),
]


class Recorder:
    """A channel that records what it is given."""

    channel_number = NUMBER
    is_open = True

    def __init__(self, connection: FrameConnection) -> None:
        self.connection: Any = connection
        self.delivered: list[tuple[Any, ...]] = []
        self._assembler = pika.channel.ContentFrameAssembler()

    def basic_publish(self, *arguments: Any) -> None:
        """Publish as pika does."""
        exchange, routing_key, body, properties, mandatory = arguments
        publish = spec.Basic.Publish(
            exchange=exchange, routing_key=routing_key, mandatory=mandatory
        )
        self.connection._send_message(NUMBER, publish, (properties, body))

    def _handle_content_frame(self, value: Any) -> None:
        if content := self._assembler.process(value):
            self._on_deliver(*content)

    def _on_deliver(self, method: Any, header: Any, body: bytes) -> None:
        fields = ("consumer_tag", "delivery_tag", "redelivered", "exchange", "routing_key")
        read = tuple(getattr(method.method, field) for field in fields)
        self.delivered.append((read, vars(header.properties), body))


class Offline(FrameConnection):
    """A connection without a socket: what it sends is kept."""

    def __init__(self) -> None:
        self.params = pika.ConnectionParameters(frame_max=FRAME_MAX)
        self.sent: list[bytes] = []
        self._confirms: dict[int, Any] = {}
        self._held = None
        self._frame_buffer = b""
        self._body_max_length = FRAME_MAX - 8
        self.bytes_sent = self.frames_sent = self.bytes_received = self.frames_received = 0
        self.channel_ = Recorder(self)
        self._channels: dict[int, Any] = {NUMBER: self.channel_}
        self.callbacks = pika.callback.CallbackManager()

    def read_by_pika(self, data: bytes) -> None:
        """Read frames as pika's own connection does."""
        while data:
            taken, value = frame.decode_frame(data)
            assert value is not None
            self._process_frame(value)
            data = data[taken:]

    def _adapter_emit_data(self, data: bytes) -> None:
        self.sent.append(data)


def by_pika(message: Message) -> bytes:
    """A message as pika's own connection writes it."""
    connection = Offline()
    properties = pika.BasicProperties(
        content_type=message.content_type,
        delivery_mode=2,
        message_id=message.id.encode(errors="surrogateescape"),
        timestamp=TIME,
        headers=dict(message.headers),
    )
    vars(properties).update(message.properties)
    connection.channel_.basic_publish(
        message.exchange, message.routing_key, message.body, properties, message.mandatory
    )
    return b"".join(connection.sent)


def delivery(message: Message, tag: int, frame_max: int = FRAME_MAX) -> bytes:
    """The frames in which a broker delivers a message."""
    deliver = spec.Basic.Deliver("ctag1", tag, tag % 2 == 0, message.exchange, message.routing_key)
    sent = by_pika(message)
    _taken, published = frame.decode_frame(sent)
    del published
    head = frame.Method(NUMBER, deliver).marshal()
    return head + sent[_taken:]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_written_as_pika_writes_it(message: Message) -> None:
    connection = Offline()
    with connection.together():
        connection.publish(connection.channel_, message, TIME)  # type: ignore[arg-type]
    assert b"".join(connection.sent) == by_pika(message)
    assert len(connection.sent) == 1


def test_a_message_that_cannot_be_encoded_sends_nothing() -> None:
    connection = Offline()
    faults: list[dict[str, Any]] = [
        {"routing_key": "x" * 256},
        {"exchange": "x" * 256},
        {"id": "x" * 256},
        {"content_type": "x" * 256},
        {"headers": {"x" * 256: "long name"}},
        {"headers": {"long": "x" * FRAME_MAX}},
        {"headers": {"unknown": object()}},
        {"routing_key": "\ud800"},
    ]
    for fault in faults:
        with pytest.raises(Exception, match=r".*"), connection.together():
            connection.publish(
                connection.channel_,  # type: ignore[arg-type]
                replace(MESSAGE, **fault),
                TIME,
            )
    assert connection.sent == []


@pytest.mark.parametrize("size", [1, 7, 100, 1_000_000])
def test_messages_are_read_as_pika_reads_them_however_the_data_arrive(size: int) -> None:
    broker.now()  # the module makes pika read all tables
    data = b"".join(delivery(message, tag) for tag, message in enumerate(MESSAGES, 1))
    data += frame.Heartbeat().marshal()
    ours, theirs = Offline(), Offline()
    ours._heartbeat_checker = theirs._heartbeat_checker = None
    for start in range(0, len(data), size):
        ours._on_data_available(data[start : start + size])
    theirs.read_by_pika(data)
    assert ours.channel_.delivered == theirs.channel_.delivered
    assert len(ours.channel_.delivered) == len(MESSAGES)
    assert (ours.frames_received, ours.bytes_received) == (theirs.frames_received, len(data))
    assert ours._frame_buffer == b""


def test_properties_of_our_kind_with_other_values_are_read_as_pika_reads_them() -> None:
    broker.now()
    ours, theirs = Offline(), Offline()
    headers: dict[str, Any] = {"count": 3, "text": "x", "list": [1, 2]}
    data = delivery(replace(MESSAGE, headers=headers), 1)
    # not UTF-8, in the message id and in a header
    data += delivery(replace(MESSAGE, id="\udcff", headers={"a": "bcd"}), 2)
    data += delivery(replace(MESSAGE, headers={"a": "bcd"}), 3).replace(b"bcd", b"\xff\xfe\xfd")
    ours._on_data_available(data)
    theirs.read_by_pika(data)
    assert ours.channel_.delivered == theirs.channel_.delivered
    assert len(ours.channel_.delivered) == 3


def test_confirms_reach_their_listener() -> None:
    connection = Offline()
    answers: list[tuple[int, bool, bool]] = []
    connection.listen_for_confirms(
        connection.channel_,  # type: ignore[arg-type]
        lambda *answer: answers.append(answer),
    )
    for method in (spec.Basic.Ack(5, True), spec.Basic.Nack(6, False), spec.Basic.Ack(7)):
        connection._on_data_available(frame.Method(NUMBER, method).marshal())
    assert answers == [(5, True, True), (6, False, False), (7, False, True)]


def test_a_frame_without_its_end_is_refused() -> None:
    broken = delivery(MESSAGE, 1)[:-1] + b"\x00"
    with pytest.raises(pika.exceptions.InvalidFrameError):
        Offline()._on_data_available(broken)


class FakeTransport:
    """Pika's transport: a socket that takes some bytes, and what waits for room."""

    def __init__(self, takes: int | OSError) -> None:
        self._takes = takes
        self._sock = self
        self.sent = self.waiting = b""

    def send(self, data: bytes) -> int:
        """Take the first bytes, or fail."""
        if isinstance(self._takes, OSError):
            raise self._takes
        self.sent += data[: self._takes]
        return min(self._takes, len(data))

    def get_write_buffer_size(self) -> int:
        """How many bytes wait."""
        return len(self.waiting)

    def write(self, data: bytes) -> None:
        """Have bytes wait."""
        self.waiting += data


@pytest.mark.parametrize(
    ("takes", "sent", "waiting"),
    [
        (100, b"first second", b""),
        (3, b"fir", b"st second"),
        (BlockingIOError(), b"", b"first second"),
        (ConnectionResetError(), b"", b"first second"),
    ],
)
def test_what_the_socket_does_not_take_waits_in_order(
    takes: int | OSError, sent: bytes, waiting: bytes
) -> None:
    connection = FrameConnection.__new__(FrameConnection)
    transport = connection._transport = FakeTransport(takes)  # type: ignore[assignment]
    for data in (b"first ", b"second"):
        connection._adapter_emit_data(data)
    assert (transport.sent, transport.waiting) == (sent, waiting)
