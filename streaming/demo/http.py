"""HTTP/1.1 for the demo upstreams, and no more of it than they need (RFC 9112).

Knows connections, requests and answers, and nothing of what is answered. A client may send its next
request when it has the answer; whoever does not wait for it is hung up on, as is whoever sends what
is no HTTP, or too much of it.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qsl, unquote

import httptools

MAX_MESSAGE_BYTES = 1_048_576
"""Bytes of a request, all in all; whoever sends more is hung up on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client asks.

    Args:
        method: In upper case.
        path: Decoded.
        query: Parameters, decoded; the last of several values.
        body: Whole; empty for none.
    """

    method: str
    path: str
    query: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What it is answered.

    Args:
        status: Such as 200.
        content_type: Of the body.
        body: Whole, or as it is made.
        headers: Further fields.
    """

    status: int = 200
    content_type: str
    body: bytes | AsyncGenerator[bytes, None]
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Answer | None]]
"""Answers a request; None hangs up. It is cancelled when the client leaves."""


class Connection(asyncio.Protocol):
    """One client's connection.

    Args:
        handle: Answers its requests.
        connections: Those that are open; this one adds itself.

    Attributes:
        lost: Set when it is closed.
    """

    def __init__(self, handle: Handler, connections: set["Connection"]) -> None:
        self.lost = asyncio.Event()
        self._handle = handle
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._answering: asyncio.Task[None] | None = None
        self._url = self._body = b""
        self._message_bytes = 0
        self._may_write = asyncio.Event()
        self._may_write.set()

    def abort(self) -> None:
        """Hang up, and answer no more."""
        self._transport.abort()
        if self._answering is not None:
            self._answering.cancel()

    # ------------------------------------------------------------- called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._connections.discard(self)
        self.lost.set()
        self.abort()

    def data_received(self, data: bytes) -> None:
        """Read on in a request."""
        self._message_bytes += len(data)
        if self._answering is not None or self._message_bytes > MAX_MESSAGE_BYTES:
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort()

    def pause_writing(self) -> None:
        """Have the answer wait."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """Have the answer go on."""
        self._may_write.set()

    # ------------------------------------------------------------ called by httptools

    def on_url(self, piece: bytes) -> None:
        """Read on in the target."""
        self._url += piece

    def on_body(self, piece: bytes) -> None:
        """Read on in the body."""
        self._body += piece

    def on_message_complete(self) -> None:
        """Answer; a second request at once is one too many."""
        if self._answering is not None:
            self.abort()
            return
        path, _, query = self._url.decode("latin-1").partition("?")
        request = Request(
            method=self._parser.get_method().decode(),
            path=unquote(path),
            query=dict(parse_qsl(query, keep_blank_values=True)),
            body=self._body,
        )
        is_last = not self._parser.should_keep_alive()
        self._url = self._body = b""
        self._message_bytes = 0
        self._answering = asyncio.get_running_loop().create_task(
            self._answer(request, is_last=is_last)
        )

    # --------------------------------------------------------------------------------

    async def _answer(self, request: Request, *, is_last: bool) -> None:
        answer = await self._handle(request)
        if answer is None:
            self.abort()
            return
        if isinstance(answer.body, bytes):
            head = _head(answer, f"Content-Length: {len(answer.body)}")
            self._transport.write(head if request.method == "HEAD" else head + answer.body)
        else:
            await self._stream(answer, answer.body)
        self._answering = None
        if is_last:
            self._transport.close()

    async def _stream(self, answer: Answer, pieces: AsyncGenerator[bytes, None]) -> None:
        async with aclosing(pieces):
            self._transport.write(_head(answer, "Transfer-Encoding: chunked"))
            async for piece in pieces:
                self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await self._may_write.wait()
        self._transport.write(b"0\r\n\r\n")


def _head(answer: Answer, framing: str) -> bytes:
    status = HTTPStatus(answer.status)
    fields = {"Content-Type": answer.content_type, **answer.headers}
    lines = [f"{name}: {value}" for name, value in fields.items()]
    start = f"HTTP/1.1 {status.value} {status.phrase}"
    return "\r\n".join([start, *lines, framing, "", ""]).encode("latin-1")
