"""Parts of what a process has of Redis, at work for the length of a block, and a faulty way there.

What a test waits for over a link it waits for with `PATIENCE`; a link itself waits for ever.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from streaming.engine.redis_client import make_client
from streaming.engine.redis_link import RedisLink
from tests.fan_out import PATIENCE
from tests.serving import LOOPBACK


@asynccontextmanager
async def working(*works: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Have these work until the end of the block; what fails by itself fails the test."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        done, _ = await asyncio.wait(tasks, timeout=PATIENCE)
        assert len(done) == len(tasks), "a cancellation was lost"
        for task in tasks:
            with suppress(asyncio.CancelledError):
                task.result()


@asynccontextmanager
async def linked(url: str) -> AsyncIterator[RedisLink]:
    """A link that works until the end of the block."""
    link = RedisLink(make_client(url, name="fanstream-link"), what="link")
    async with working(link.run()):
        yield link


class LossyRelay:
    """Relays connections to a Redis while the block runs, and loses what it is told to.

    Args:
        port: Where the Redis listens on 127.0.0.1.

    Attributes:
        lost: How many replies were lost.
    """

    def __init__(self, port: int) -> None:
        self.lost = 0
        self._to = port
        self._losses = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._pumps: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """What `[log] url` is."""
        return f"redis://{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}/0"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def lose_replies(self, count: int = 1) -> None:
        """Lose what Redis says next, so many times, with the connection on which it says it."""
        self._losses += count

    def reset(self) -> None:
        """Break off all connections now, as a server does that dies with something unread."""
        for writer in self._writers:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.cut()

    def cut(self) -> None:
        """End all connections now; new ones may be made."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection(LOOPBACK, self._to)
        self._writers += [writer, to_writer]
        for pump in (self._pass(reader, to_writer), self._pass_replies(to_reader, writer)):
            task = asyncio.create_task(pump)
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
        sink.close()

    async def _pass_replies(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if self._losses:
                    self._losses -= 1
                    self.lost += 1
                    break
                sink.write(data)
        sink.close()
