"""Which means a server gives to notice that a client has gone."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from streaming.engine.client_watch import SCOPE_SOCKET, claim_watch, find_watch
from streaming.engine.socket_watch import SocketWatch


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


def test_an_offered_socket_is_claimed(sock: socket.socket) -> None:
    """An ASGI server that offers it is told that it is watched from now on."""
    offer = {"socket": sock, "is_watched": False}
    assert watches(claim_watch({SCOPE_SOCKET: offer}), sock)
    assert offer["is_watched"]


def test_nothing_is_offered() -> None:
    """Most ASGI servers tell by themselves, and only so."""
    assert claim_watch({"http.response.debug": {}}) is None
