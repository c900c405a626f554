"""One request to a test upstream, and what may be done with its connection.

HTTP/1.1 by hand (RFC 9112), because a server that keeps the rules cannot break them on request.
Reads requests as strictly as a test needs, writes whatever it is told. Knows no behaviour: these
are tables of `Paths` in `upstream_answers`, `upstream_codings`, `upstream_faults` and
`upstream_streams`.
"""

import asyncio
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

Header = tuple[str, str]

# Statuses whose answer has no body, whatever its head says (RFC 9110 section 6.4.1).
_BODYLESS = (204, 304)

# Time for a peer to take in what was sent before a reset could throw it away.
_SETTLE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as it came: the target and the headers unchanged, the body whole; and when."""

    method: str
    target: str
    headers: list[Header]
    body: bytes
    time: float = field(default_factory=time.monotonic, compare=False)

    @property
    def path(self) -> str:
        """The path, still percent-encoded; also where the target is a whole URL, as for a proxy."""
        path, _, _ = self.target.partition("?")
        if path.startswith("http://"):
            path = "/" + path.removeprefix("http://").partition("/")[2]
        return path

    @property
    def query(self) -> dict[str, str]:
        """The parameters, decoded; the last of several values."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    def header(self, name: str) -> str | None:
        """The first value of a header, its name in any case."""
        values = (value for key, value in self.headers if key.lower() == name.lower())
        return next(values, None)


async def read_request(reader: asyncio.StreamReader) -> Received | None:
    """Read the next request; None where the peer closed instead of sending one."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _version = first.split(" ")
    headers = [
        (name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines)
    ]
    body = await _read_body(reader, {name.lower(): value for name, value in headers})
    return Received(method=method, target=target, headers=headers, body=body)


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return b"".join([piece async for piece in _read_chunks(reader)])
    return await reader.readexactly(int(headers.get("content-length", 0)))


async def _read_chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")


class Exchange:
    """A request and the connection to answer it on.

    A behaviour that returns when the answer is whole (`answer`, `end`) leaves the connection open
    for the next request; one that returns earlier has hung up.

    Args:
        request: What came.
        writer: The connection.
        call: How many requests to this path there were by now, this one included.
    """

    def __init__(self, request: Received, writer: asyncio.StreamWriter, *, call: int) -> None:
        self.request = request
        self.call = call
        self.is_whole = False
        self._query = request.query
        self._writer = writer

    @property
    def rest(self) -> str:
        """What stands behind the first segment of the path."""
        return self.request.path[1:].partition("/")[2]

    def text(self, name: str, default: str = "") -> str:
        """A parameter as it is."""
        return self._query.get(name, default)

    def integer(self, name: str, default: int = 0) -> int:
        """A parameter that counts something."""
        return int(self._query.get(name, default))

    def seconds(self, name: str, default: float = 0.0) -> float:
        """A parameter that is a duration."""
        return float(self._query.get(name, default))

    async def send(self, data: bytes) -> None:
        """Send bytes as they are, and wait while the peer takes none."""
        self._writer.write(data)
        await self._writer.drain()

    async def head(self, *headers: Header, status: int = 200) -> None:
        """Send the head of an answer, with these headers alone."""
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
        await self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def answer(
        self,
        body: bytes,
        *,
        content_type: str = "application/json",
        status: int = 200,
        headers: Iterable[Header] = (),
    ) -> None:
        """Send a whole answer of a known length."""
        all_headers = [*headers]
        if status not in _BODYLESS:
            all_headers += [("Content-Type", content_type), ("Content-Length", str(len(body)))]
        await self.head(*all_headers, status=status)
        if self.request.method != "HEAD" and status not in _BODYLESS:
            await self.send(body)
        self.is_whole = True

    async def answer_json(
        self, value: Any, *, status: int = 200, headers: Iterable[Header] = ()
    ) -> None:
        """Send a whole answer that is a JSON value."""
        await self.answer(json.dumps(value).encode(), status=status, headers=headers)

    async def begin(self, content_type: str, *headers: Header) -> None:
        """Send the head of an answer that goes on in chunks."""
        await self.head(("Content-Type", content_type), ("Transfer-Encoding", "chunked"), *headers)

    async def chunk(self, data: bytes) -> None:
        """Send one chunk."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        """Send the chunk that ends the answer."""
        await self.send(b"0\r\n\r\n")
        self.is_whole = True

    async def reset(self) -> None:
        """Break the connection off by a reset (RST) instead of closing it in order."""
        await asyncio.sleep(_SETTLE)
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def wait_for_peer(self) -> None:
        """Wait until the peer leaves; the server then ends the behaviour."""
        await asyncio.Event().wait()


Behaviour = Callable[[Exchange], Awaitable[None]]


class Paths(dict[str, Behaviour]):
    """Behaviours by the first segment of their path."""

    def at(self, path: str) -> Callable[[Behaviour], Behaviour]:
        """Enter the decorated behaviour under `/segment`."""

        def enter(behaviour: Behaviour) -> Behaviour:
            self[path.removeprefix("/")] = behaviour
            return behaviour

        return enter
