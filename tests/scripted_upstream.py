"""An upstream that says byte by byte what a test gives it, and calls to be made of it.

For answers that no well-behaved server could send, and over TLS; for all others there is
`upstreams`.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

from streaming.core.call import Call, ConnectionOptions
from streaming.engine.transport import Response, Transport

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

_BETWEEN_PARTS = 0.05
_HEAD_END = b"\r\n\r\n"


@asynccontextmanager
async def serving(
    behave: Behaviour,
    *,
    tls: ssl.SSLContext | None = None,
    address: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[str]:
    """Serve whatever `behave` does with each connection; give the server's URL."""
    conversations = set[asyncio.Task[None]]()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.add(asyncio.ensure_future(converse(reader, writer)))

    server = await asyncio.start_server(connected, address, port, ssl=tls)
    try:
        port = server.sockets[0].getsockname()[1]
        host = f"[{address}]" if ":" in address else address
        yield f"{'https' if tls else 'http'}://{host}:{port}"
    finally:
        server.close()
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)


def say(*parts: bytes, then_reset: bool = False) -> Behaviour:
    """Take a request; send the parts one by one; close the connection in order, or reset it."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(_HEAD_END)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(_BETWEEN_PARTS)
        if then_reset:
            _reset(writer)

    return behave


def _reset(writer: asyncio.StreamWriter) -> None:
    """Make the connection's end a reset (RST)."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def a_call(
    url: str,
    *,
    method: str = "GET",
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes | None = None,
    connect_timeout: float = 5.0,
    options: ConnectionOptions | None = None,
) -> Call:
    return Call(
        method=method,
        url=url,
        headers=headers,
        body=body,
        connect_timeout=connect_timeout,
        options=options or ConnectionOptions(),
    )


@asynccontextmanager
async def opened(transport: Transport, call: Call) -> AsyncIterator[Response]:
    """Open a call's response, and close it at the end of the block."""
    async with aclosing(await transport.open(call)) as response:
        yield response


async def read_all(response: Response) -> bytes:
    """Read a body to its end."""
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    return b"".join(pieces)


async def fetch(transport: Transport, call: Call) -> tuple[Response, bytes]:
    """Make a call, and read its body to the end."""
    async with opened(transport, call) as response:
        return response, await read_all(response)
