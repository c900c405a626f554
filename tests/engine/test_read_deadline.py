"""A thread that waits for a client's bytes comes back at its deadline, and can still answer."""

import socket
import time
from collections.abc import Iterator

import pytest

from streaming.core.errors_request import BodyTooSlow
from streaming.engine.read_deadline import ReadDeadline


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's end of a connection, and the client's."""
    server, client = socket.socketpair()
    with server, client:
        server.settimeout(10.0)
        client.settimeout(10.0)
        yield server, client


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_a_read_ends_at_the_deadline(ends: tuple[socket.socket, socket.socket], key: str) -> None:
    """The read sees the end of the connection, and its maker is told why."""
    server, _ = ends
    with ReadDeadline({key: server}, timeout=0.05) as deadline:
        assert server.recv(1) == b""
    with pytest.raises(BodyTooSlow):
        deadline.check()


def test_an_answer_can_be_sent_after_it(ends: tuple[socket.socket, socket.socket]) -> None:
    """Only what comes from the client is shut."""
    server, client = ends
    with ReadDeadline({"gunicorn.socket": server}, timeout=0.05):
        server.recv(1)
    server.sendall(b"408")
    assert client.recv(3) == b"408"


def test_a_read_that_is_in_time_is_left_alone(ends: tuple[socket.socket, socket.socket]) -> None:
    """After the block nothing is shut, however long the connection goes on."""
    server, client = ends
    client.sendall(b"a")
    with ReadDeadline({"gunicorn.socket": server}, timeout=0.05) as deadline:
        assert server.recv(1) == b"a"
    time.sleep(0.15)
    client.sendall(b"b")
    assert server.recv(1) == b"b"
    deadline.check()


def test_without_a_socket_there_is_no_deadline() -> None:
    """A server that gives none reads at its own pace."""
    with ReadDeadline({}, timeout=0.0) as deadline:
        time.sleep(0.05)
    deadline.check()


def test_a_client_that_has_left_changes_nothing() -> None:
    """A socket that was closed cannot be shut, and need not be."""
    server, client = socket.socketpair()
    server.close()
    client.close()
    with ReadDeadline({"gunicorn.socket": server}, timeout=0.0) as deadline:
        time.sleep(0.05)
    with pytest.raises(BodyTooSlow):
        deadline.check()
