"""Asking the test upstreams byte by byte: what a client library would hide has to be seen."""

import asyncio
import http.client
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.upstreams import Upstreams

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(upstreams: Upstreams) -> AsyncIterator[Streams]:
    """Connect, and break off at the end of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", upstreams.port, limit=1 << 22)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@asynccontextmanager
async def asked(upstreams: Upstreams, target: str, *more: str) -> AsyncIterator[Streams]:
    """Send a request, with more lines for its head; the answer is the caller's to read."""
    async with connected(upstreams) as (reader, writer):
        writer.write("\r\n".join([f"GET {target} HTTP/1.1", *more, "", ""]).encode())
        yield reader, writer


async def got(upstreams: Upstreams, target: str) -> tuple[str, bytes]:
    """Everything up to the end of the connection: the head, and what follows it."""
    async with asked(upstreams, target, "Connection: close") as (reader, _), asyncio.timeout(5):
        head, _, rest = (await reader.read(-1)).partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


async def got_whole(upstreams: Upstreams, target: str) -> tuple[int, str, bytes]:
    """A right answer as the standard library reads it: status, content type, body."""

    def ask() -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", upstreams.port, timeout=5)
        connection.request("GET", target)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.getheader("Content-Type", ""), body

    return await asyncio.to_thread(ask)


async def read_until_silence(reader: asyncio.StreamReader) -> bytes:
    """Read what comes, until nothing has come for a fifth of a second or the end has."""
    data = b""
    with suppress(TimeoutError):
        while piece := await asyncio.wait_for(reader.read(4096), 0.2):
            data += piece
    return data
