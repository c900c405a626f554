"""Clients that close their sending half, send requests ahead, or reset: which stacks keep them.

Stacks that take the end of file for the client's leaving, and let nobody else decide it, are named
here with the place where they do.
"""

import socket
import struct
import time
from contextlib import contextmanager

import pytest

from tests.servers.connections import read_to_end, read_until, stream_socket
from tests.servers.stacks import STACKS
from tests.serving import LOOPBACK
from tests.viewing import TIMEOUT, ask

LOSES_HALF_CLOSED = {
    ("quart", "hypercorn"): "`TCPServer._read_data` handles `Closed` at the end of file",
    ("quart", "granian"): "hyper's `half_close` is off, and no option turns it on",
    ("quart", "gunicorn"): "its protocol has no `eof_received`, so that asyncio closes",
    ("flask", "granian"): "hyper's `half_close` is off, and no option turns it on",
}

KEEPING = [stack for stack in STACKS if stack.pair not in LOSES_HALF_CLOSED]

# While a request that was sent ahead waits, these look at nothing else of the connection: that its
# client has left is told by the second beat or the third.
TOLD_BY_BEATS = {("quart", "hypercorn"), ("quart", "granian"), ("flask", "granian")}
TELLING = [stack for stack in STACKS if stack.pair not in TOLD_BY_BEATS]

# Seconds: a beat a second, the look at its effect, and as much again for a slow machine.
NOTICED_WITHIN = 3.0

BEAT = b'"event":"ping"'

keeping = pytest.mark.parametrize("stack", KEEPING, ids=str, indirect=True)
telling = pytest.mark.parametrize("stack", TELLING, ids=str, indirect=True)


def request(target, *more):
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: test", *more, "", ""]).encode()


@contextmanager
def said_all(port, *requests):
    """A client that closes its sending half with its requests, as `nc -N` does."""
    with socket.create_connection((LOOPBACK, port), timeout=TIMEOUT) as connection:
        connection.sendall(b"".join(requests))
        connection.shutdown(socket.SHUT_WR)
        yield connection


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@keeping
def test_a_stream_for_a_client_that_said_all(stack, served, upstreams, record, key):
    """It gets the whole answer, and then the end of the connection."""
    with said_all(served.port, request(f"/feeds/held?key={key}&format=ndjson")) as connection:
        read_until(connection, b"start")
        # A second later it is still there.
        read_until(connection, BEAT)
        ask(upstreams.base_url, f"/release/{key}")
        assert b'"finished"' in read_to_end(connection)
    record(stack, "half-closed", "kept")


@pytest.mark.parametrize("stack", [s for s in STACKS if s not in KEEPING], ids=str, indirect=True)
def test_a_stream_that_cannot_be_kept(stack, served, record, key):
    """Where the server decides that its client has gone, so it is: this table is right."""
    with said_all(served.port, request(f"/feeds/held?key={key}&format=ndjson")) as connection:
        assert b"done" not in read_to_end(connection)
    record(stack, "half-closed", "lost")


@keeping
def test_a_short_answer_for_a_client_that_said_all(served):
    """It does not wait for another request, which cannot come."""
    asked = time.monotonic()
    with said_all(served.port, request("/healthz")) as connection:
        assert b'"alive"' in read_to_end(connection)
    assert time.monotonic() - asked < NOTICED_WITHIN


@keeping
@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["closes", "resets"])
def test_it_leaves_in_the_end(served, upstreams, key, leave):
    """A half-closed client says nothing more when it closes: beats find out."""
    with said_all(served.port, request(f"/feeds/held?key={key}&format=ndjson")) as connection:
        read_until(connection, BEAT)
        # The first beat comes at once; who leaves before the call is made ends no call.
        upstreams.wait_calls(f"/held/{key}")
        leave(connection)
    upstreams.wait_closed_by_peer(f"/held/{key}", timeout=NOTICED_WITHIN)


def test_a_reset_is_noticed(stack, served, upstreams, key):
    """As any other leaving."""
    with stream_socket(served.port, f"/feeds/held?key={key}&format=ndjson") as connection:
        read_until(connection, b"start")
        upstreams.wait_calls(f"/held/{key}")
        reset(connection)
        upstreams.wait_closed_by_peer(f"/held/{key}", timeout=stack.noticed_within)


def test_a_request_that_is_sent_ahead(served, upstreams, key):
    """The stream before it is whole; it is answered after that, or the connection closed."""
    ahead = request("/healthz", "Connection: close")
    with stream_socket(served.port, f"/feeds/held?key={key}") as connection:
        connection.sendall(ahead)
        read_until(connection, b"start")
        ask(upstreams.base_url, f"/release/{key}")
        stream, _, answer = read_to_end(connection).partition(b"HTTP/1.1")
    assert b'"finished"' in stream
    assert b'"alive"' in answer or not answer


@telling
def test_a_client_that_sent_a_request_ahead_leaves(served, upstreams, key):
    """What it sent stands before its leaving."""
    with stream_socket(served.port, f"/feeds/held?key={key}&format=ndjson") as connection:
        connection.sendall(request("/healthz"))
        read_until(connection, b"start")
        upstreams.wait_calls(f"/held/{key}")
    upstreams.wait_closed_by_peer(f"/held/{key}", timeout=NOTICED_WITHIN)
