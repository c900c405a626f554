"""What the gthread worker waits for, on stand-ins for its connections: whom it gives up, and when.

The worker itself is tried in tests/servers and tests/test_hostile_clients.py.
"""

import selectors
import socket
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from streaming import gunicorn_gthread
from streaming.gunicorn_gthread import HEAD_TIMEOUT, bound_waiting


class Connection:
    """One of the worker's: its client's silence is all that matters of it."""

    def __init__(self, sock: socket.socket, *, is_http2: bool = False) -> None:
        self.sock = sock
        self.is_http2 = is_http2
        self.waited: list[float] = []
        self.timeout = 0.0

    def wait_for_data(self, timeout: float) -> bool:
        self.waited.append(timeout)
        return False


class Worker:
    """A worker in whose threads `during` happens."""

    def __init__(self) -> None:
        self.alive = True
        self.cfg = SimpleNamespace(keepalive=2)
        self.pending_conns: deque[Connection] = deque()
        self.poller = selectors.DefaultSelector()
        self.readable: list[Connection] = []
        self.during: Any = lambda conn: None

    def handle(self, conn: Connection) -> object:
        self.during(conn)
        return "deferred"

    def handle_request(self, req: object, conn: Connection) -> None:
        pass

    def finish_request(self, conn: Connection, future: object) -> None:
        if self.alive:
            conn.timeout = self.cfg.keepalive
            self.pending_conns.append(conn)

    def on_pending_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        self.readable.append(conn)

    def notify(self) -> None:
        pass


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    bound_waiting(made)
    with made.poller:
        yield made


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test may change."""
    clock = [1000.0]
    monkeypatch.setattr(gunicorn_gthread, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    return clock


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    server, client = socket.socketpair()
    client.settimeout(0.0)
    with server, client:
        yield server, client


def is_shut_down(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def test_a_head_that_takes_too_long_is_given_up(worker, ends, now):
    """From the moment in which a thread has taken the request up, and not before."""

    def take_too_long(conn):
        now[0] += HEAD_TIMEOUT - 1
        worker.notify()
        assert not is_shut_down(ends[1])
        now[0] += 2
        worker.notify()
        assert is_shut_down(ends[1])

    worker.during = take_too_long
    worker.handle(Connection(ends[0]))


def test_an_answer_may_take_long(worker, ends, now):
    """The head was whole in time."""

    def answer(conn):
        worker.handle_request(None, conn)
        now[0] += 10 * HEAD_TIMEOUT
        worker.notify()

    worker.during = answer
    worker.handle(Connection(ends[0]))
    assert not is_shut_down(ends[1])


def test_http_2_may_take_long(worker, ends, now):
    """Its connection is one that many requests come over, one after the other."""

    def speak(conn):
        conn.is_http2 = True
        now[0] += 10 * HEAD_TIMEOUT
        worker.notify()

    worker.during = speak
    worker.handle(Connection(ends[0]))
    assert not is_shut_down(ends[1])


def test_a_head_that_is_whole_just_in_time_is_answered(worker, ends, now):
    """Between the look at who is late and what is done about it."""

    class JustInTime(Connection):
        @property
        def is_http2(self):
            worker.handle_request(None, self)
            return False

        @is_http2.setter
        def is_http2(self, value):
            pass

    def look(conn):
        now[0] += HEAD_TIMEOUT + 1
        worker.notify()

    worker.during = look
    worker.handle(JustInTime(ends[0]))
    assert not is_shut_down(ends[1])


def test_no_thread_waits_for_a_first_byte(worker, ends):
    """Whether it is there is looked at; and nothing is left of that at the connection."""
    conn = Connection(ends[0])
    worker.during = lambda conn: conn.wait_for_data(5.0)
    worker.handle(conn)
    assert conn.waited == [0.0]
    assert "wait_for_data" not in vars(conn)


def test_a_silent_connection_has_as_long_as_a_head(worker, ends, now):
    """And no longer than a kept one, once its worker ends."""
    conn = Connection(ends[0])
    worker.finish_request(conn, None)
    worker.notify()
    assert conn.timeout == now[0] + HEAD_TIMEOUT
    worker.alive = False
    worker.notify()
    assert conn.timeout == now[0] + worker.cfg.keepalive


def test_a_worker_that_ends_waits_for_whom_it_has_taken(worker, ends, now):
    """Where the first byte is not there yet; gunicorn closes the connection, which resets it."""
    conn = Connection(ends[0])
    deferred: Future[object] = Future()
    deferred.set_result(worker.handle(conn))
    worker.alive = False
    worker.finish_request(conn, deferred)
    assert list(worker.pending_conns) == [conn]
    assert conn.timeout == now[0] + HEAD_TIMEOUT
    ends[1].sendall(b"G")
    ((key, _),) = worker.poller.select(0)
    key.data(key.fileobj)
    assert worker.readable == [conn]
