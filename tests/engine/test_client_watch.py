"""Which means a WSGI server gives to notice that a client has gone."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from streaming.engine import probe_watch
from streaming.engine.client_watch import find_watch
from streaming.engine.probe_watch import ProbeWatch


class GoneViewer:
    """Notes that it was told of its client's leaving."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    def receive_gone(self) -> None:
        self.gone.set()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    server, client = socket.socketpair()
    with server, client:
        yield server, client


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_a_socket_is_watched(key: str, pair: tuple[socket.socket, socket.socket]) -> None:
    """Servers that give the client's socket have it watched."""
    assert find_watch({key: pair[0]}) is not None


def test_a_server_that_tells_is_asked() -> None:
    """waitress gives a function instead."""
    assert find_watch({"waitress.client_disconnected": bool}) is not None


def test_nothing_to_watch() -> None:
    """Elsewhere only a failing write tells."""
    assert find_watch({"wsgi.input": None}) is None


async def test_a_probe_tells_of_a_client_that_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks now and then, until the answer is yes."""
    monkeypatch.setattr(probe_watch, "PROBE_INTERVAL", 0.001)
    answers = iter([False, False, True])
    viewer: Any = GoneViewer()
    ProbeWatch(lambda: next(answers), viewer=viewer)
    async with asyncio.timeout(5):
        await viewer.gone.wait()


async def test_a_closed_probe_asks_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A viewer that was closed is nobody's to tell."""
    monkeypatch.setattr(probe_watch, "PROBE_INTERVAL", 0.001)
    viewer: Any = GoneViewer()
    watch = ProbeWatch(lambda: True, viewer=viewer)
    watch.close()
    await asyncio.sleep(0.02)
    assert not viewer.gone.is_set()
