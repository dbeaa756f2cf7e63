"""AMQP's frames: whole messages in one pass, both ways; pika handles each frame by itself.

pika reads 4 KiB at a time, and passes each of a message's three frames through a search for
callbacks; it sends each frame by a system call, and first waits until the socket has room. Per
message that costs three times as much as this. What is not an ordinary message, such as one with a
body of several frames, is left to pika.

Source: AMQP 0-9-1, sections 2.3.5 and 4.2.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import pika
from pika import SelectConnection, frame, spec
from pika.channel import Channel

from chassis.messaging import message_properties
from chassis.messaging.message import Message

Answered = Callable[[int, bool, bool], None]
"""Is given a confirm: its delivery tag, if it means all up to it, and if it is an ack."""
_RECEIVE_BYTES = 64 * 1024
_START, _CONTENT = struct.Struct(">BHL"), struct.Struct(">HHQ")
_TAG = struct.Struct(">QB")  # a delivery tag and the bits behind it
_PUBLISH = struct.pack(">HHH", 60, 40, 0)
_METHOD, _HEADER, _BODY, _END = spec.FRAME_METHOD, spec.FRAME_HEADER, spec.FRAME_BODY, b"\xce"
_OVERHEAD = 8  # bytes of a frame around its payload
_DELIVER, _ACK, _NACK = (struct.pack(">HH", 60, number) for number in (60, 80, 120))


class FrameConnection(SelectConnection):
    """Reads and writes ordinary messages by itself."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._confirms: dict[int, Answered] = {}
        self._held: list[bytes] | None = None
        super().__init__(*arguments, **options)

    def listen_for_confirms(self, channel: Channel, answered: Answered) -> None:
        """Pass the confirms of a channel to `answered`, instead of the channel's callbacks."""
        self._confirms[channel.channel_number] = answered

    def publish(self, channel: Channel, message: Message, time: int) -> None:
        """Publish a persistent message with the timestamp `time`, in seconds since 1970.

        Raises:
            Exception: it can't be encoded, or the channel is closed; nothing is sent.
        """
        frame_max = channel.connection.params.frame_max
        frames = _encoded(channel.channel_number, message, time, frame_max)
        if frames is not None and channel.is_open:
            self._output_marshaled_frames(frames)
            return
        properties = message_properties.for_pika(message, time)
        _check_size(properties, frame_max)
        channel.basic_publish(
            message.exchange, message.routing_key, message.body, properties, message.mandatory
        )

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send all frames of the block by one system call, if the socket takes them."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            if held:
                self._output_marshaled_frames(held)

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        if self._held is not None:
            self._held += marshaled_frames
            return
        data = b"".join(marshaled_frames)
        self.bytes_sent += len(data)
        self.frames_sent += len(marshaled_frames)
        self._adapter_emit_data(data)

    def _adapter_emit_data(self, data: bytes) -> None:
        """Send at once what the socket takes; pika waits for room for the rest.

        By itself pika would have the loop wait for room each time: three system calls more, behind
        each of which this thread waits for the interpreter's lock.
        """
        transport: Any = self._transport
        sent = 0
        # a connection that has ended has no socket; pika then drops what comes
        if transport._sock is not None and not transport.get_write_buffer_size():
            # a full socket, or a lost connection, which pika notices when it sends
            with suppress(OSError):
                sent = transport._sock.send(data)
        if sent < len(data):
            super()._adapter_emit_data(data[sent:])

    def _proto_connection_made(self, transport: Any) -> None:
        transport._MAX_RECV_BYTES = _RECEIVE_BYTES
        # one read, then back to the loop: a second one would mostly find nothing
        transport._MAX_CONSUME_BYTES = 1
        super()._proto_connection_made(transport)

    def _on_data_available(self, data_in: bytes) -> None:
        data = self._frame_buffer + data_in if self._frame_buffer else data_in
        at = 0
        try:
            while at < len(data):
                taken = self._read(data, at)
                if not taken:
                    return
                at += taken
        finally:
            self.bytes_received += at
            self._frame_buffer = data[at:]

    def _read(self, data: bytes, at: int) -> int:
        """Handle what is at `at`, and return how many bytes it takes; 0 if it is incomplete."""
        if len(data) - at < _OVERHEAD or data[at : at + 4] == b"AMQP":
            return self._read_by_pika(data[at:])
        kind, number, size = _start(data, at)
        end = at + _OVERHEAD + size
        if end > len(data):
            return 0
        if kind == _METHOD and data[end - 1 : end] == _END:
            method = data[at + 7 : at + 11]
            if method == _DELIVER and (taken := self._deliver(data, at, end, number)):
                return taken
            if method in (_ACK, _NACK) and number in self._confirms:
                tag, bits = _TAG.unpack_from(data, at + 11)
                self.frames_received += 1
                self._confirms[number](tag, bool(bits & 1), method == _ACK)
                return end - at
        return self._read_by_pika(data[at:end])

    def _read_by_pika(self, data: bytes) -> int:
        taken, value = frame.decode_frame(data)
        if value is not None:
            self._process_frame(value)
        return taken

    def _deliver(self, data: bytes, start: int, head: int, number: int) -> int:
        """Deliver the message whose first frame ends at `head`; 0 if it is not all there.

        Its header and its body follow immediately, with one frame each.
        """
        channel = self._channels.get(number)
        if channel is None or len(data) - head < _OVERHEAD:
            return 0
        kind, of, size = _start(data, head)
        body = head + _OVERHEAD + size
        if kind != _HEADER or of != number or len(data) - body < _OVERHEAD:
            return 0
        _class, _weight, octets = _CONTENT.unpack_from(data, head + 7)
        kind, of, size = _start(data, body)
        end = body + _OVERHEAD + size
        is_whole = kind == _BODY and of == number and size == octets and end <= len(data)
        if not is_whole or data[body - 1 : body] != _END or data[end - 1 : end] != _END:
            return 0
        properties = message_properties.read(data[head + 19 : body - 1])
        self.frames_received += 3
        channel._on_deliver(
            frame.Method(number, _method(data[start + 11 : head - 1])),
            frame.Header(number, octets, properties),
            data[body + 7 : end - 1],
        )
        return end - start


def _start(data: bytes, at: int) -> tuple[int, int, int]:
    """Return the kind, the channel and the size of the frame that begins at `at`."""
    kind, number, size = _START.unpack_from(data, at)
    return kind, number, size


def _method(encoded: bytes) -> spec.Basic.Deliver:
    """Read basic.deliver's arguments; what surrounds the tag is the same for many messages."""
    after = encoded[0] + 1
    tag, bits = _TAG.unpack_from(encoded, after)
    consumer_tag, exchange, routing_key = _names(encoded[:after], encoded[after + 9 :])
    return spec.Basic.Deliver(consumer_tag, tag, bool(bits & 1), exchange, routing_key)


@lru_cache(maxsize=256)
def _names(consumer: bytes, others: bytes) -> tuple[Any, Any, Any]:
    consumer_tag, _end = pika.data.decode_short_string(consumer, 0)
    exchange, end = pika.data.decode_short_string(others, 0)
    return consumer_tag, exchange, pika.data.decode_short_string(others, end)[0]


def _encoded(number: int, message: Message, time: int, frame_max: int) -> list[bytes] | None:
    """Return the frames that publish a message on channel `number`; None if pika must do that.

    Args:
        number: the channel's.
        message: what to publish.
        time: its timestamp, in seconds since 1970.
        frame_max: the most bytes of a frame.
    """
    body = message.body
    properties = message_properties.written(message, time)
    if properties is None or not 0 < len(body) <= frame_max - _OVERHEAD:
        return None
    header = _CONTENT.pack(60, 0, len(body)) + properties
    method = _publish(number, message.exchange, message.routing_key, message.mandatory)
    if method is None or len(header) > frame_max - _OVERHEAD:
        return None
    return [
        method,
        _START.pack(_HEADER, number, len(header)) + header + _END,
        _START.pack(_BODY, number, len(body)) + body + _END,
    ]


@lru_cache(maxsize=256)
def _publish(number: int, exchange: str, routing_key: str, mandatory: bool) -> bytes | None:
    names = [name.encode() for name in (exchange, routing_key)]
    if any(len(name) > 255 for name in names):
        return None
    listed = b"".join(bytes((len(name),)) + name for name in names)
    method = _PUBLISH + listed + bytes((mandatory,))
    return _START.pack(_METHOD, number, len(method)) + method + _END


def _check_size(properties: pika.BasicProperties, frame_max: int) -> None:
    """Check that the headers fit into one frame: otherwise the broker closes the connection.

    Raises:
        ValueError: they do not fit.
    """
    size = sum(map(len, properties.encode())) + _CONTENT.size + _OVERHEAD
    if size > frame_max:
        raise ValueError(f"its headers take {size:,} bytes, and a frame {frame_max:,}")
