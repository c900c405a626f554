"""All streams taken: the next is refused at once, other requests are served, room is used.

Beside them are clients that say nothing, and such as have been answered and stay: they must keep
nobody out.
"""

import socket
import time
from contextlib import ExitStack

import pytest

from tests.servers.connections import NoStreamError, stream_socket
from tests.servers.stacks import MAX_STREAMS
from tests.serving import LOOPBACK
from tests.viewing import TIMEOUT, ask, client, eventually, problem

# Seconds for an answer that waits for nothing.
AT_ONCE = 3.0

# More than there are threads, and more than servers keep beside them where nobody says how many.
SILENT = 150
KEPT_ALIVE = 20


def try_open(served, target):
    """Open a stream, and give what closes it; None where it is refused."""
    with ExitStack() as opening:
        try:
            opening.enter_context(stream_socket(served.port, target))
        except NoStreamError:
            return None
        return opening.pop_all()


@pytest.fixture
def target(key):
    return f"/feeds/held?key={key}"


@pytest.fixture
def full(served, upstreams, key, target):
    """Have all streams taken and idle connections beside them, and give what closes each stream."""
    with ExitStack() as opened:
        # Those of other tests have been left, which takes its time to be noticed.
        streams = [
            opened.enter_context(eventually(lambda: try_open(served, target)))
            for _ in range(MAX_STREAMS)
        ]
        upstreams.wait_calls(f"/held/{key}", MAX_STREAMS)
        for _ in range(KEPT_ALIVE):
            assert opened.enter_context(client(served.base_url)).get("/healthz").status_code == 200
        for _ in range(SILENT):
            address = (LOOPBACK, served.port)
            opened.enter_context(socket.create_connection(address, timeout=TIMEOUT))
        yield streams
    upstreams.wait_closed_by_peer(f"/held/{key}", MAX_STREAMS)


def test_one_stream_too_many_is_refused_at_once(stack, served, full, target, record):
    """The answer is a 503 that says when to come back."""
    asked = time.monotonic()
    response = ask(served.base_url, target)
    took = time.monotonic() - asked
    record(stack, "one stream too many", took)
    assert problem(response)["max_streams"] == MAX_STREAMS
    assert (response.status_code, int(response.headers["retry-after"]) > 0) == (503, True)
    assert took < AT_ONCE


@pytest.mark.parametrize("path", ["/healthz", "/feeds", "/"])
def test_ordinary_requests_are_served(served, full, path):
    """What is no stream is answered as ever, and as soon."""
    asked = time.monotonic()
    assert ask(served.base_url, path).status_code == 200
    assert time.monotonic() - asked < AT_ONCE


def test_a_place_that_is_left_is_taken(served, full, target):
    """Once a viewer has left there is room for another."""
    assert try_open(served, target) is None
    full[0].close()
    eventually(lambda: try_open(served, target)).close()
