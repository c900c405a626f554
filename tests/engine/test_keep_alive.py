"""The kernel's bounds on a client that vanished: what is set, and on what.

That it gives such a client up cannot be tried here: no test can pull a cable.
"""

import asyncio
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from streaming.engine.keep_alive import PROBE_INTERVAL, SILENCE_MARGIN, bound_silence
from streaming.engine.socket_watch import SocketWatch

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="others lack some options")


class IdleViewer:
    """A viewer that nobody steps."""


@pytest.fixture
def served() -> Iterator[socket.socket]:
    """A server's side of a connection."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()),
    ):
        server, _ = listening.accept()
        with server:
            yield server


def option(sock: socket.socket, name: str) -> int:
    return sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))


@linux_only
@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [(30.0, 30_000), (0.25, 250), (0.0001, 1), (1e9, 2**31 - 1)],
)
def test_what_is_sent_has_to_be_acknowledged(
    served: socket.socket, seconds: float, milliseconds: int
) -> None:
    """The bound is in milliseconds, none of which would mean the system's own bound."""
    bound_silence(served, seconds=seconds)
    assert option(served, "TCP_USER_TIMEOUT") == milliseconds


@linux_only
@pytest.mark.parametrize(("seconds", "idle"), [(30.0, 30), (0.25, 1), (1e9, 32_767)])
def test_a_silent_client_is_asked(served: socket.socket, seconds: float, idle: int) -> None:
    """Keep-alive begins after as long a silence, in whole seconds."""
    bound_silence(served, seconds=seconds)
    assert served.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert option(served, "TCP_KEEPIDLE") == idle
    assert option(served, "TCP_KEEPINTVL") == PROBE_INTERVAL


def test_a_local_socket_is_left_as_it_is() -> None:
    """It has none of these options, and its other side cannot vanish."""
    server, client = socket.socketpair()
    with server, client:
        bound_silence(server, seconds=30.0)
        assert not server.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_a_connection_that_has_ended_is_let_be(served: socket.socket) -> None:
    """Some systems refuse any option then."""
    served.shutdown(socket.SHUT_RDWR)
    bound_silence(served, seconds=30.0)


@linux_only
async def test_a_watched_client_is_bounded(served: socket.socket) -> None:
    """The server's own descriptor shares what is set on the watch's."""
    viewer: Any = IdleViewer()
    watch = SocketWatch(served.fileno(), viewer=viewer, send_timeout=7.0)
    watch.close()
    await asyncio.sleep(0)
    assert option(served, "TCP_USER_TIMEOUT") == 1000 * (7.0 + SILENCE_MARGIN)


@linux_only
def test_connections_inherit_it() -> None:
    """What is set on a socket that listens holds for all that it accepts."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        bound_silence(listening, seconds=7.0)
        with socket.create_connection(listening.getsockname()):
            server, _ = listening.accept()
            with server:
                assert option(server, "TCP_USER_TIMEOUT") == 7000
