"""Connections that are found by their addresses, on real sockets."""

import errno
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from streaming.engine import connections
from streaming.engine.connections import Connections
from tests.fan_out import descriptors, descriptors_before


@contextmanager
def connected(host: str = "127.0.0.1") -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's end of a connection, and the client's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.create_server((host, 0), family=family) as listening,
        socket.create_connection(listening.getsockname()[:2]) as client,
        listening.accept()[0] as server,
    ):
        client.settimeout(5.0)
        yield server, client


def shut_down(found: Connections, server: socket.socket) -> bool:
    return found.shut_down(peer=server.getpeername()[:2], port=server.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_connection_is_shut_down(host):
    """Its other end sees it end, whichever way it is addressed."""
    with connected(host) as (server, client):
        assert shut_down(Connections(), server)
        assert client.recv(1) == b""


@pytest.mark.parametrize("named", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_a_client_of_both_families_is_found(named):
    """A listener for IPv6 that takes IPv4 as well: servers write the address in either form."""
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listening,
        socket.create_connection(("127.0.0.1", listening.getsockname()[1])) as client,
        listening.accept()[0],
    ):
        client.settimeout(5.0)
        peer = (named, client.getsockname()[1])
        assert Connections().shut_down(peer=peer, port=listening.getsockname()[1])
        assert client.recv(1) == b""


@pytest.mark.parametrize("failing", ["tcp_sockets", "duplicate"])
def test_want_of_descriptors_is_no_error(monkeypatch, failing):
    """Who asks has something else to do where a connection cannot be found for that."""

    def fail(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(connections, failing, fail)
    with connected() as (server, _):
        assert shut_down(Connections(), server) is False


def test_others_are_left_alone():
    """One with other addresses goes on."""
    with connected() as (server, _), connected() as (other, other_client):
        shut_down(Connections(), server)
        other.sendall(b"x")
        assert other_client.recv(1) == b"x"


def test_one_that_is_not_there_is_not_found():
    """Addresses that no connection of this process has are answered so."""
    assert not Connections().shut_down(peer=("127.0.0.1", 9), port=9)


def test_a_descriptor_that_has_changed_hands_is_left_alone():
    """Another connection may have got it since it was looked at."""
    found = Connections()
    with connected() as (server, _), connected() as (other, other_client):
        addresses = {"peer": server.getpeername(), "port": server.getsockname()[1]}
        assert not found.shut_down(peer=("127.0.0.1", 9), port=9)
        os.dup2(other.fileno(), server.fileno())
        assert not found.shut_down(**addresses)
        other.sendall(b"x")
        assert other_client.recv(1) == b"x"


def test_a_new_connection_is_found_at_the_next_look(monkeypatch):
    """What was opened after a look is found by the one after `LOOK_INTERVAL`."""
    found = Connections()
    found.shut_down(peer=("127.0.0.1", 9), port=9)
    with connected() as (server, _):
        monkeypatch.setattr(connections, "LOOK_INTERVAL", 0.05)
        deadline = time.monotonic() + 5.0
        while not shut_down(found, server):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_no_descriptor_is_left():
    """Looking and shutting down leave every socket open that was, and none beside."""
    with connected() as (server, _):
        before = descriptors_before()
        shut_down(Connections(), server)
        assert descriptors() == before
        assert server.getsockname()
