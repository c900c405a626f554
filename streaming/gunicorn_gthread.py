"""What gunicorn's gthread worker waits for without a bound, or in the wrong thread.

For the head of a request it waits for ever, in a thread that others need; for a new connection's
first byte it waits for 5 s in such a thread, before it leaves it to the thread that takes all
connections. Of a worker that ends it closes a connection without that byte, which resets the
connection where the request comes just then. For a client to close a connection that has ended it
waits for 2 s in that one thread: some clients that are slow to close, or mean to be, would keep
everyone else out. gunicorn is not imported here; what is changed are the attributes of one worker.
"""

import selectors
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

HEAD_TIMEOUT = 10.0
"""Seconds that a new connection may be silent. And seconds from the moment in which a thread takes
up a request, of which a byte is there then, to the end of its head; what the client sends with it,
as over HTTP/2, has no bound. After either the connection is closed."""


def bound_waiting(worker: Any) -> None:
    """Have a worker's threads wait for no first byte, no head beyond `HEAD_TIMEOUT`, and no close.

    Args:
        worker: A gthread worker, before its first request.
    """
    waiting = _Waiting(worker)
    worker.handle = waiting.handle
    worker.handle_request = waiting.handle_request
    worker.finish_request = waiting.finish_request
    worker.notify = waiting.notify


class _Waiting:
    """The connections of a worker whose next head is not whole, and since when."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._since: dict[Any, float] = {}
        self._handle: Callable[[Any], Any] = worker.handle
        self._handle_request: Callable[[Any, Any], Any] = worker.handle_request
        self._finish_request: Callable[[Any, Any], None] = worker.finish_request
        self._notify: Callable[[], Any] = worker.notify

    def handle(self, conn: Any) -> Any:
        """Handle one request of a connection. In a thread of the pool."""
        # Where nothing has come yet, the worker's poller waits for it.
        conn.wait_for_data = partial(_has_data, conn)
        self._since[conn] = time.monotonic()
        try:
            is_kept = self._handle(conn)
        finally:
            self._since.pop(conn, None)
            del conn.wait_for_data
        # By identity: gunicorn has a further answer, by which it waits for the first byte.
        if is_kept is False:
            conn.close(graceful=True)
            # The worker closes it again, when it counts that it has ended.
            conn.close = _do_nothing
        return is_kept

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request whose head is whole."""
        self._since.pop(conn, None)
        return self._handle_request(req, conn)

    def finish_request(self, conn: Any, future: Any) -> None:
        """Go on with a connection that a thread has left. In the thread that takes connections."""
        if not self._worker.alive and _is_deferred(future):
            self._wait_for_data(conn)
        else:
            self._finish_request(conn, future)
        silent = self._silent()
        if silent and silent[-1] is conn:
            # gunicorn gives it what it gives a connection between two requests.
            conn.timeout = time.monotonic() + HEAD_TIMEOUT

    def notify(self) -> None:
        """Show that the worker lives, once a second; and look who keeps it waiting."""
        self._notify()
        now = time.monotonic()
        if not self._worker.alive:
            for conn in self._silent():
                conn.timeout = min(conn.timeout, now + self._worker.cfg.keepalive)
        for conn, since in list(self._since.items()):
            # What is gone from here has a whole head by now; HTTP/2 has many.
            is_late = since < now - HEAD_TIMEOUT and not getattr(conn, "is_http2", False)
            if is_late and self._since.pop(conn, None) is not None:
                with suppress(OSError):  # it has just been closed
                    conn.sock.shutdown(socket.SHUT_RDWR)

    def _wait_for_data(self, conn: Any) -> None:
        """Have the poller wait for a first byte, as gunicorn has it while the worker lives."""
        conn.sock.setblocking(False)
        self._worker.pending_conns.append(conn)
        readable = partial(self._worker.on_pending_socket_readable, conn)
        self._worker.poller.register(conn.sock, selectors.EVENT_READ, readable)

    def _silent(self) -> Sequence[Any]:
        """Return the connections whose first byte the poller waits for; gunicorn 25.0 has none."""
        connections: Sequence[Any] = getattr(self._worker, "pending_conns", ())
        return connections


def _is_deferred(future: Any) -> bool:
    """Say whether a thread has left a connection because its first byte is not there."""
    is_ended = future.cancelled() or future.exception() is not None
    return not is_ended and not isinstance(future.result(), bool)


def _has_data(conn: Any, timeout: float) -> bool:
    """Say whether the first byte is there, instead of waiting for it."""
    return bool(type(conn).wait_for_data(conn, 0.0))


def _do_nothing(*, graceful: bool = False) -> None:
    pass
