"""uvicorn with a protocol that keeps half-closed clients, for applications that watch them.

Served from a thread, with an application of a few lines in the place of fanstream's.
"""

import asyncio
import socket
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from quart import Quart

from streaming import Feed, Upstream, uvicorn_protocol
from streaming.adapter import TAKE_EXTENSION
from streaming.engine.client_watch import SCOPE_SOCKET
from streaming.quart import blueprint, event_stream
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
            scope["extensions"][SCOPE_SOCKET].claim(lambda blindness: None)
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


@dataclass
class Taking:
    """An application that asks what writes at once where two functions would send."""

    found: list[bool] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def between(message: Any) -> None:
            await send(message)

        find_take = scope["extensions"][TAKE_EXTENSION]
        self.found = [find_take(each) is not None for each in (send, between)]
        self.asked.set()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


def test_nobody_in_between_is_passed_by(loop: Any) -> None:
    """What changes or keeps back a response would see it overtaken."""
    app = Taking()
    with (
        uvicorn_thread.served(app, http=HalfOpenProtocol, loop=loop) as port,
        socket.create_connection((LOOPBACK, port), timeout=TIMEOUT) as connection,
    ):
        connection.sendall(HEAD + b"body")
        assert app.asked.wait(TIMEOUT)
    assert app.found == [True, False]


# -------------------------------------------------------------------------- writes


@dataclass
class Recorder:
    """A transport, and a response that writes to it."""

    written: list[bytes] = field(default_factory=list)
    closing: bool = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True


def a_response() -> tuple[Recorder, Any]:
    recorder = Recorder()
    response: Any = SimpleNamespace(transport=recorder)
    protocol: Any = SimpleNamespace(loop=asyncio.get_running_loop(), first_writes=None)
    response.transport = uvicorn_protocol._FirstWrites(response, protocol)
    return recorder, response


async def test_what_is_written_in_the_first_turn_is_one_write() -> None:
    """And what comes later goes straight to the connection."""
    recorder, response = a_response()
    response.transport.write(b"head")
    response.transport.write(b"first")
    assert not recorder.written
    await asyncio.sleep(0)
    assert recorder.written == [b"headfirst"]
    assert response.transport is recorder


async def test_nothing_is_lost_of_an_answer_that_closes() -> None:
    """It is written before its connection is closed."""
    recorder, response = a_response()
    response.transport.write(b"whole")
    response.transport.close()
    assert (recorder.written, recorder.closing) == ([b"whole"], True)
    await asyncio.sleep(0)
    assert recorder.written == [b"whole"]


async def test_nothing_is_written_to_a_connection_that_has_ended() -> None:
    """In the very turn."""
    recorder, response = a_response()
    response.transport.write(b"head")
    recorder.close()
    await asyncio.sleep(0)
    assert not recorder.written
    assert response.transport.is_closing()


async def answer_at_once(scope: dict[str, Any], receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"whole"})


def test_a_client_that_only_asks_is_answered(loop: Any) -> None:
    """Its end of file comes in the turn in which the answer is written, nearly always."""
    with uvicorn_thread.served(answer_at_once, http=HalfOpenProtocol, loop=loop) as port:
        for _ in range(50):
            with socket.create_connection((LOOPBACK, port), timeout=TIMEOUT) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                connection.shutdown(socket.SHUT_WR)
                with connection.makefile("rb") as answer:
                    assert answer.read().endswith(b"whole")


def test_answers_of_one_connection_come_in_their_order(loop: Any) -> None:
    """Asked one behind the other, and in one piece."""
    ask = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
    with (
        uvicorn_thread.served(answer_at_once, http=HalfOpenProtocol, loop=loop) as port,
        socket.create_connection((LOOPBACK, port), timeout=TIMEOUT) as connection,
    ):
        connection.sendall(5 * ask)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            assert answer.read().count(b"whole") == 5


def test_a_stream_of_ones_own_comes_whole(loop: Any) -> None:
    """By the writes that pass the framework by."""
    app = Quart(__name__)
    feed = Feed("a", upstreams={"a": Upstream(url="http://127.0.0.1:1/")})
    app.register_blueprint(blueprint([feed]), url_prefix="/live")

    @app.get("/")
    @event_stream
    async def count() -> AsyncIterator[dict[str, int]]:
        for n in range(3):
            yield {"n": n}
            await asyncio.sleep(0.02)

    with (
        uvicorn_thread.served(app, http=HalfOpenProtocol, loop=loop) as port,
        urllib.request.urlopen(f"http://{LOOPBACK}:{port}/", timeout=TIMEOUT) as answer,
    ):
        said = answer.read()
    assert [b'{"n":%d}' % n in said for n in range(3)] == [True] * 3
