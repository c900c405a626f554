"""No connection comes to the unreachable ports, each in its own way."""

import select
import socket

import pytest

from tests.unreachable_ports import closed_port, full_backlog


def test_a_closed_port_refuses():
    """A connection to it is refused, each time."""
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", closed_port()), timeout=2)


def test_a_full_backlog_lets_connections_hang():
    """A connection to it is neither made nor refused."""
    with full_backlog() as port, socket.socket() as knock:
        knock.setblocking(False)
        knock.connect_ex(("127.0.0.1", port))
        assert select.select([], [knock], [], 0.5) == ([], [], [])


def test_a_full_backlog_is_gone_afterwards():
    """Its port refuses once it is left."""
    with full_backlog() as port:
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=2)
