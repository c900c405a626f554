"""Clients that come and leave in every way: before the head, in mid-stream, by FIN and by RST.

Sockets alone: no client library leaves a server so rudely.
"""

import socket
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from uuid import uuid4

from tests.serving import LOOPBACK
from tests.viewing import TIMEOUT

FEEDS = """
[feeds.held]
on_disconnect = "cancel"
linger = 0.2
keep = 0.1
[feeds.held.params.key]
[feeds.held.upstreams.a]
url = "${UPSTREAMS}/held/{key}"

[feeds.endless]
on_disconnect = "cancel"
keep = 0.1
[feeds.endless.params.key]
[feeds.endless.upstreams.a]
url = "${UPSTREAMS}/ndjson/{key}?lines=0&delay=0.01"
read = "ndjson"

[feeds.shared]
share = true
on_disconnect = "linger"
linger = 0.2
keep = 0.1
[feeds.shared.params.key]
[feeds.shared.upstreams.a]
url = "${UPSTREAMS}/ndjson/{key}?lines=0&delay=0.01"
read = "ndjson"

[feeds.quick]
keep = 0.1
[feeds.quick.params.key]
[feeds.quick.upstreams.a]
url = "${UPSTREAMS}/json/{key}"
"""
"""The feeds that these clients ask for, under `[server]` settings of the test's own."""

CLIENTS = 16
"""Clients that come at the same time."""

_SHARED_KEYS = 8  # so few that some visits join another's run
# What stands for a key in a request; as long as a key, since the head counts the body's bytes.
_OWN, _SHARED = "O" * 32, "S" * 32
_PARAMS = b'{"key": "%b"}' % _OWN.encode()
_NO_ANSWER = b""
_WHOLE_HEAD = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to come and to leave.

    Args:
        request: What is sent, with a place for the key.
        until: Read until this has come, or the connection has ended; empty: read nothing.
        leave: Ends the connection.
    """

    request: bytes
    until: bytes
    leave: Callable[[socket.socket], None]


def reset(connection: socket.socket) -> None:
    """Break off by a reset (RST)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def close(connection: socket.socket) -> None:
    """Close in order (FIN)."""
    connection.close()


def half_close(connection: socket.socket) -> None:
    """Say that nothing more will be sent, and then close."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
    connection.close()


def get(target: str, *more: str, method: str = "GET") -> bytes:
    """A request without a body, with further header lines."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: test", *more, "", ""]).encode()


def post(target: str, body: bytes) -> bytes:
    """A request with a JSON body."""
    length = f"Content-Length: {len(body)}"
    return get(target, "Content-Type: application/json", length, method="POST") + body


_STREAMS = {
    get(f"/feeds/held?key={_OWN}"): (_NO_ANSWER, b"retry:", b"event: start"),
    get(f"/feeds/held?key={_OWN}&format=ndjson"): (b"retry_ms",),
    get(f"/feeds/held?key={_OWN}&format=json"): (_NO_ANSWER, _WHOLE_HEAD),
    get(f"/feeds/endless?key={_OWN}"): (_NO_ANSWER, b"event: chunk", b'"n":9'),
    get(f"/feeds/shared?key={_SHARED}"): (_NO_ANSWER, b'"n":3'),
    get(f"/feeds/quick?key={_OWN}"): (_NO_ANSWER, b"event: done"),
    get(f"/plain/{_OWN}"): (_NO_ANSWER, b'"n":3'),
    get(f"/async/{_OWN}"): (_NO_ANSWER, b'"n":3'),
    post("/feeds/held?format=sse", _PARAMS): (b"event: start",),
}
_OTHERS = {
    get(f"/feeds/held?key={_OWN}", method="HEAD"): (_NO_ANSWER, _WHOLE_HEAD),
    post("/feeds/held", _PARAMS): (_NO_ANSWER, _WHOLE_HEAD),  # viewed by nobody
    get("/feeds/none"): (_WHOLE_HEAD,),
    get("/feeds/held"): (_WHOLE_HEAD,),
    get(f"/feeds/held?key={_OWN}", "Accept: image/png"): (_WHOLE_HEAD,),
    get(f"/feeds/held?key={_OWN}", "Origin: https://other.example"): (_WHOLE_HEAD,),
    get("/runs/none"): (_WHOLE_HEAD,),
    post("/feeds/held", b"{"): (_WHOLE_HEAD,),
    post("/feeds/held", _PARAMS + b" " * 9)[:-9]: (_NO_ANSWER,),  # the body is not whole
    get(f"/feeds/held?key={_OWN}")[:-9]: (_NO_ANSWER,),  # nor is the head
    b"NONSENSE\r\n\r\n": (_NO_ANSWER,),
    b"": (_NO_ANSWER,),
}
WAYS = [
    Way(request, until, leave)
    for (request, untils), leave in product(
        [*_STREAMS.items(), *_OTHERS.items()], (close, reset, half_close)
    )
    for until in untils
]
"""Every request, left at every place, in every way."""

CUTS = [way for way in WAYS if way.until.startswith(b'"n":')]
"""Streams of feeds and of views, left in the middle."""


def leave_often(port: int, count: int, *, ways: Sequence[Way] = WAYS) -> None:
    """Visit a server so many times, in these ways one after the other, by `CLIENTS` at a time.

    Args:
        port: Where it listens on 127.0.0.1.
        count: How many visits.
        ways: The ways.

    Raises:
        OSError: A connection was refused, or nothing came for `TIMEOUT`.
    """
    shared_keys = [uuid4().hex for _ in range(_SHARED_KEYS)]
    with ThreadPoolExecutor(CLIENTS) as clients:
        for _ in clients.map(partial(_visit, port, ways, shared_keys), range(count)):
            pass


def _visit(port: int, ways: Sequence[Way], shared_keys: list[str], n: int) -> None:
    way = ways[n % len(ways)]
    shared_key = shared_keys[n % _SHARED_KEYS]
    request = way.request.replace(_OWN.encode(), uuid4().hex.encode())
    request = request.replace(_SHARED.encode(), shared_key.encode())
    with socket.create_connection((LOOPBACK, port), timeout=TIMEOUT) as connection:
        connection.sendall(request)
        if way.until:
            _read_until(connection, way.until)
        way.leave(connection)


def _read_until(connection: socket.socket, end: bytes) -> None:
    """Read until this has come; a refusal, where a server has no room, is enough as well."""
    seen = b""
    while end not in seen and not (b" 503 " in seen[:20] and _WHOLE_HEAD in seen):
        piece = connection.recv(65536)
        if not piece:
            return
        seen += piece
