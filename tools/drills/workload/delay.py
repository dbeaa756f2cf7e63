"""A relay for TCP connections that delays each chunk, each way.

Own code: netem (`tc qdisc add dev lo root netem delay`) is a module that kernels of containers and
small virtual machines lack. On the loopback interface it affects every program of the host.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# distinguishes the relay's own connections from those that are redirected to it
MARK = 77
READ_BYTES = 65536
LOCAL = "127.0.0.1"
Chunk = tuple[float, bytes]


@contextmanager
def delayed(address: tuple[str, int], seconds: float) -> Iterator[int]:
    """Relay to `address` during the block; yields the local port to connect to."""
    relay = _Relay(address, seconds)
    thread = threading.Thread(target=relay.run, name="delay", daemon=True)
    thread.start()
    relay.started.wait()
    try:
        yield relay.port
    finally:
        relay.stop()
        thread.join()


class _Relay:
    def __init__(self, address: tuple[str, int], seconds: float) -> None:
        self.port = 0
        self.started = threading.Event()
        self._address = address
        self._seconds = seconds
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()

    def run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, LOCAL, 0)
        self.port = server.sockets[0].getsockname()[1]
        self.started.set()
        await self._stop.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # as long as a handshake over such a network takes
        await asyncio.sleep(self._seconds)
        try:
            far_reader, far_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(
                self._pass_on(reader, far_writer), self._pass_on(far_reader, writer)
            )
        finally:
            writer.transport.abort()
            far_writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        near = socket.socket()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        near.setblocking(False)
        try:
            await self._loop.sock_connect(near, self._address)
        except OSError:
            near.close()
            raise
        return await asyncio.open_connection(sock=near)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chunks: asyncio.Queue[Chunk] = asyncio.Queue()
        writing = asyncio.create_task(self._write(chunks, writer))
        with suppress(ConnectionError):
            while data := await reader.read(READ_BYTES):
                chunks.put_nowait((self._loop.time() + self._seconds, data))
        chunks.put_nowait((self._loop.time() + self._seconds, b""))
        await writing

    async def _write(self, chunks: "asyncio.Queue[Chunk]", writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while True:
                due, data = await chunks.get()
                await asyncio.sleep(due - self._loop.time())
                if not data:
                    writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()
