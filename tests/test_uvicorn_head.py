"""uvicorn with bounds on heads and on what is left of a request, on real sockets."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from streaming import uvicorn_head
from streaming.uvicorn_head import BoundedHeadProtocol
from tests.serving import LOOPBACK
from tests.uvicorn_thread import served
from tests.viewing import TIMEOUT

# Seconds; after five uvicorn gives up a connection between two requests anyway.
SOON = 3.0
HEAD_TIMEOUT = 0.3
SLOW = HEAD_TIMEOUT * 4


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer with the path, without a look at the body; some paths slowly."""
    body = scope["path"].encode()
    if body == b"/slow":
        await asyncio.sleep(SLOW)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def head(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: a", *fields, "", ""]).encode()


@contextmanager
def asking(data: bytes) -> Iterator[socket.socket]:
    with (
        served(app, http=BoundedHeadProtocol) as port,
        socket.create_connection((LOOPBACK, port), timeout=TIMEOUT) as connection,
    ):
        connection.sendall(data)
        yield connection


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    seen = b""
    while mark not in seen:
        piece = connection.recv(4096)
        assert piece, f"closed after {seen!r}"
        seen += piece
    return seen


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_head, "HEAD_TIMEOUT", HEAD_TIMEOUT)


@pytest.mark.parametrize(
    "rest",
    [
        (b"G", b"E", b"T"),
        (b"0\r\nX", b"-", b"A"),
        (b"1\r\nx\r\n", b"1\r\n", b"x\r\n"),
    ],
    ids=["a head", "trailers", "a body"],
)
def test_what_drips_after_an_answer_comes_to_an_end(rest: tuple[bytes, ...]) -> None:
    """Be it of the request that was answered, or of the next."""
    is_whole = rest[0] == b"G"
    fields = [] if is_whole else ["Transfer-Encoding: chunked"]
    with asking(head("/first", *fields)) as connection:
        read_until(connection, b"/first")
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            for piece in rest * 1000:
                connection.sendall(piece)
                time.sleep(0.02)
        assert time.monotonic() - began < SOON


def test_a_request_that_was_sent_ahead_has_its_time() -> None:
    """Its head is here: that nothing more comes while it is answered is as it should be."""
    with asking(head("/first") + head("/slow")) as connection:
        assert b"/first" in read_until(connection, b"/slow")


def test_an_answer_is_not_broken_by_a_head_too_long() -> None:
    """What cannot be answered is not written into the answer that goes on."""
    with asking(head("/slow")) as connection:
        connection.sendall(head("/next")[:-2])
        time.sleep(HEAD_TIMEOUT / 3)
        with suppress(ConnectionError):
            connection.sendall(b"X-A: " + b"x" * uvicorn_head.MAX_HEAD_BYTES * 2)
        seen = b""
        with suppress(ConnectionError):
            while piece := connection.recv(4096):
                seen += piece
        assert b"431" not in seen
