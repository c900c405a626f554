"""Which means a server gives to notice that a client has gone."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from streaming.engine.client_watch import (
    SCOPE_SOCKET,
    Blindness,
    SocketOffer,
    claim_watch,
    find_watch,
)
from streaming.engine.socket_watch import SocketWatch
from tests.fan_out import descriptors, descriptors_before, until


@dataclass(frozen=True)
class Channel:
    """What waitress has for each connection, as far as its function is concerned."""

    socket: Any

    def check_client_disconnected(self) -> bool:
        return False


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket() as made:
        yield made


def watches(watch: Any, sock: socket.socket) -> bool:
    """Say whether a watch would be one of this socket."""
    return (watch.func, watch.args) == (SocketWatch, (sock.fileno(),))


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_a_socket_is_watched(key: str, sock: socket.socket) -> None:
    """Servers that give the client's socket have it watched."""
    assert watches(find_watch({key: sock}), sock)


def test_a_socket_behind_a_function_is_watched(sock: socket.socket) -> None:
    """waitress gives a method of the connection, and that has the socket."""
    function = Channel(sock).check_client_disconnected
    assert watches(find_watch({"waitress.client_disconnected": function}), sock)


@pytest.mark.parametrize("function", [bool, partial(bool), Channel(None).check_client_disconnected])
def test_a_function_alone_is_no_means(function: Any) -> None:
    """Were waitress to change, a failing write would tell."""
    assert find_watch({"waitress.client_disconnected": function}) is None


def test_nothing_to_watch() -> None:
    """Elsewhere only a failing write tells."""
    assert find_watch({"wsgi.input": None}) is None


def test_a_tls_socket_is_not_watched() -> None:
    """Its bytes are not the client's words."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with context.wrap_socket(socket.socket(), do_handshake_on_connect=False) as wrapped:
        assert find_watch({"gunicorn.socket": wrapped}) is None


class Watched:
    """A viewer of which only its client's watching is looked at."""

    def __init__(self) -> None:
        self.beats = 0
        self.is_gone = False

    def hasten_beat(self) -> None:
        self.beats += 1

    def receive_gone(self) -> None:
        self.is_gone = True


@dataclass
class Connected:
    """A connection whose server offers its end of it, and the viewer that is streamed to there."""

    server: socket.socket
    client: socket.socket
    viewer: Any = field(default_factory=Watched)

    def watched(self, offer: SocketOffer) -> Any:
        watch = claim_watch({SCOPE_SOCKET: offer})
        assert watch
        return watch(viewer=self.viewer, send_timeout=1.0)


@pytest.fixture
def connected() -> Iterator[Connected]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
    with client, server:
        yield Connected(server, client)


async def test_an_offered_socket_is_looked_at_when_need_be(connected: Connected) -> None:
    """Its server sees most by itself; the rest takes no descriptor."""
    offer = SocketOffer(connected.server)
    before = descriptors_before()
    watching = connected.watched(offer)
    assert offer.is_claimed
    assert not connected.viewer.beats
    offer.tell(Blindness.AT_END)
    assert connected.viewer.beats == 1
    assert descriptors() <= before
    watching.close()
    assert not offer.is_claimed


async def test_an_offered_socket_is_looked_at_at_once_where_it_is_late(
    connected: Connected,
) -> None:
    """The end of the client's words may have come before its request was answered."""
    offer = SocketOffer(connected.server)
    offer.tell(Blindness.AT_END)
    connected.watched(offer).close()
    assert connected.viewer.beats == 1


async def test_a_client_that_has_gone_is_told_from_one_that_is_silent(
    connected: Connected,
) -> None:
    """The beat that it is sent comes back as a reset."""
    offer = SocketOffer(connected.server)
    watching = connected.watched(offer)
    connected.client.close()
    offer.tell(Blindness.AT_END)
    connected.server.send(b"beat")
    await until(lambda: connected.viewer.is_gone)
    watching.close()


async def test_one_that_sent_a_request_ahead_is_sent_no_beats(connected: Connected) -> None:
    """Unless it has closed its sending half behind it."""
    offer = SocketOffer(connected.server)
    watching = connected.watched(offer)
    offer.tell(Blindness.SENT_AHEAD)
    assert not connected.viewer.beats
    connected.client.shutdown(socket.SHUT_WR)
    await until(lambda: connected.viewer.beats > 0)
    watching.close()


async def test_a_socket_that_its_owner_has_closed_is_a_client_that_has_gone(
    connected: Connected,
) -> None:
    """Whoever looks at it late is not in the way."""
    offer = SocketOffer(connected.server)
    watching = connected.watched(offer)
    connected.server.close()
    offer.tell(Blindness.AT_END)
    await until(lambda: connected.viewer.is_gone)
    watching.close()


async def test_a_connection_that_ends_takes_its_viewer_with_it(connected: Connected) -> None:
    """Its server may tell only who answers the latest of several requests."""
    offer = SocketOffer(connected.server)
    offer.tell(Blindness.SENT_AHEAD)
    watching = connected.watched(offer)
    assert not connected.viewer.is_gone
    offer.tell(Blindness.LOST)
    assert connected.viewer.is_gone
    watching.close()


async def test_a_watch_takes_back_its_own_claim_alone(connected: Connected) -> None:
    """A viewer that is closed late may be followed by another on the same connection."""
    offer = SocketOffer(connected.server)
    first = connected.watched(offer)
    second = connected.watched(offer)
    first.close()
    assert offer.is_claimed
    second.close()
    assert not offer.is_claimed


async def test_an_offered_socket_may_be_closed_by_then(sock: socket.socket) -> None:
    """Its client has left while its request was answered."""
    sock.close()
    watch = claim_watch({SCOPE_SOCKET: SocketOffer(sock)})
    assert watch
    viewer: Any = Watched()
    with pytest.raises(OSError, match="closed"):
        watch(viewer=viewer, send_timeout=1.0)


def test_nothing_is_offered() -> None:
    """Most ASGI servers tell by themselves, and only so."""
    assert claim_watch({"http.response.debug": {}}) is None
