"""Clients that are bounded by way of the sockets that listen for them."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streaming.adapter import make_engine
from streaming.core.settings import ServerSettings, Settings
from streaming.engine.keep_alive import SILENCE_MARGIN
from streaming.engine.listeners import bound_listeners

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone lists descriptors")

SECONDS = 12.0
DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    bound_listeners.cache_clear()
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def timeout_of(sock: socket.socket) -> int:
    """The bound on silence, in milliseconds; 0: the system's own."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


def test_a_connection_to_come_is_bounded(listener: socket.socket) -> None:
    """What is accepted afterwards has the bound."""
    bound_listeners(os.getpid(), seconds=SECONDS)
    with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
        assert timeout_of(accepted) == SECONDS * 1000
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_a_connection_that_is_there_is_bounded(listener: socket.socket) -> None:
    """The one that brought the first request has it too; the client's own side has not."""
    with (
        socket.create_connection(listener.getsockname()) as client,
        listener.accept()[0] as accepted,
    ):
        bound_listeners(os.getpid(), seconds=SECONDS)
        assert (timeout_of(accepted), timeout_of(client)) == (SECONDS * 1000, 0)


def test_the_owner_waits_as_before(listener: socket.socket) -> None:
    """A listener that blocks goes on to block, whatever new sockets are told to."""
    socket.setdefaulttimeout(5.0)
    try:
        bound_listeners(os.getpid(), seconds=SECONDS)
    finally:
        socket.setdefaulttimeout(None)
    assert os.get_blocking(listener.fileno())


def test_no_descriptor_is_left_open(listener: socket.socket) -> None:
    """All that was opened to look is closed."""
    before = len(list(DESCRIPTORS.iterdir()))
    bound_listeners(os.getpid(), seconds=SECONDS)
    assert len(list(DESCRIPTORS.iterdir())) == before


async def test_an_engine_bounds_them(listener: socket.socket) -> None:
    """Whatever a server shows of its clients: a little later than the engine itself would."""
    settings = Settings(server=ServerSettings(send_timeout=SECONDS))
    engine = make_engine(settings)
    assert timeout_of(listener) == (SECONDS + SILENCE_MARGIN) * 1000
    await engine.aclose()
