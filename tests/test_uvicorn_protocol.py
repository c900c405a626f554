"""uvicorn with a protocol that keeps half-closed clients, for applications that watch them.

Served from a thread, with an application of a few lines in the place of fanstream's.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from streaming import uvicorn_protocol
from streaming.engine.client_watch import claim_watch
from streaming.uvicorn_protocol import HalfOpenProtocol
from tests import uvicorn_thread
from tests.serving import LOOPBACK
from tests.viewing import TIMEOUT

# Seconds; after five uvicorn gives up a connection between two requests anyway.
SOON = 3.0

HEAD = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\n"


@dataclass
class Waiting:
    """An application that answers when it is told to, or learns that its client has left.

    Args:
        claims: Whether it watches the client's socket, or says so.
    """

    claims: bool
    asked: threading.Event = field(default_factory=threading.Event)
    answer: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if self.claims:
            assert claim_watch(scope["extensions"]) is not None
        self.asked.set()
        leaving = asyncio.create_task(self._leaving(receive))
        # The test sets it from its own thread.
        while not (self.answer.is_set() or leaving.done()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        leaving.cancel()
        headers = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"whole"})

    async def _leaving(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left.set()


@contextmanager
def served(app: Waiting, *, loop: Any) -> Iterator[int]:
    """Serve an application for the block, and give the port."""
    with uvicorn_thread.served(app, http=HalfOpenProtocol, loop=loop) as port:
        try:
            yield port
        finally:
            app.answer.set()


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Any:
    """The loop: each has its own way to meet the end of file."""
    return request.param


@contextmanager
def asking(port: int, app: Waiting, data: bytes) -> Iterator[socket.socket]:
    """Send this and nothing more, which the server knows when the block begins."""
    with socket.create_connection((LOOPBACK, port), timeout=TIMEOUT) as connection:
        connection.sendall(data)
        assert app.asked.wait(TIMEOUT)
        connection.shutdown(socket.SHUT_WR)
        yield connection


def test_a_watched_client_is_kept(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the time in which somebody has to watch it; it is answered, and let go."""
    monkeypatch.setattr(uvicorn_protocol, "CLAIM_TIMEOUT", 0.05)
    app = Waiting(claims=True)
    with served(app, loop=loop) as port, asking(port, app, HEAD + b"body") as connection:
        assert not app.left.wait(0.3)
        app.answer.set()
        began = time.monotonic()
        with connection.makefile("rb") as answer:
            assert answer.read().endswith(b"whole")
        assert time.monotonic() - began < SOON


def test_a_client_that_nobody_watches_has_left(loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application learns of it as it does from uvicorn itself."""
    monkeypatch.setattr(uvicorn_protocol, "CLAIM_TIMEOUT", 0.05)
    app = Waiting(claims=False)
    with served(app, loop=loop) as port, asking(port, app, HEAD + b"body") as connection:
        assert app.left.wait(TIMEOUT)
        assert connection.recv(1) == b""


def test_a_client_that_breaks_off_its_request_has_left(loop: Any) -> None:
    """What is missing of the body will never come."""
    app = Waiting(claims=True)
    with served(app, loop=loop) as port, asking(port, app, HEAD + b"bo") as connection:
        assert app.left.wait(TIMEOUT)
        assert connection.recv(1) == b""


def test_nobody_is_kept_between_two_requests(loop: Any) -> None:
    """A client that closes its sending half after an answer is let go at once."""
    app = Waiting(claims=True)
    app.answer.set()
    with (
        served(app, loop=loop) as port,
        socket.create_connection((LOOPBACK, port), timeout=TIMEOUT) as connection,
        connection.makefile("rb") as answer,
    ):
        connection.sendall(HEAD + b"body")
        while answer.readline() != b"\r\n":
            pass
        assert answer.read(5) == b"whole"
        connection.shutdown(socket.SHUT_WR)
        began = time.monotonic()
        assert answer.read() == b""
        assert time.monotonic() - began < SOON
