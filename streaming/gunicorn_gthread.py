"""What gunicorn's gthread worker waits for without a bound, or in the wrong thread.

For the head of a request it waits for ever, in a thread that others need. For a client to close a
connection that has ended it waits for 2 s, in the one thread that takes all connections: some
clients that are slow to close, or mean to be, would keep everyone else out. gunicorn is not
imported here; what is changed are the attributes of one worker.
"""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

HEAD_TIMEOUT = 10.0
"""Seconds from a request's first byte to the end of its head; then the connection is shut down."""


def bound_waiting(worker: Any) -> None:
    """Have a worker wait no longer than `HEAD_TIMEOUT` for a head, and for no client to close.

    Args:
        worker: A gthread worker, before its first request.
    """
    waiting = _Waiting(worker)
    worker.handle = waiting.handle
    worker.handle_request = waiting.handle_request
    worker.notify = waiting.notify


class _Waiting:
    """The connections of a worker whose next head is not whole, and since when."""

    def __init__(self, worker: Any) -> None:
        self._since: dict[Any, float] = {}
        self._handle: Callable[[Any], Any] = worker.handle
        self._handle_request: Callable[[Any, Any], Any] = worker.handle_request
        self._notify: Callable[[], Any] = worker.notify

    def handle(self, conn: Any) -> Any:
        """Handle one request of a connection. In a thread of the pool."""
        self._since[conn] = time.monotonic()
        try:
            is_kept = self._handle(conn)
        finally:
            self._since.pop(conn, None)
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

    def notify(self) -> None:
        """Show that the worker lives, once a second; and look who keeps it waiting."""
        self._notify()
        waits_since = time.monotonic() - HEAD_TIMEOUT
        for conn, since in list(self._since.items()):
            if since < waits_since:
                self._since.pop(conn, None)
                with suppress(OSError):  # it has just been closed
                    conn.sock.shutdown(socket.SHUT_RDWR)


def _do_nothing(*, graceful: bool = False) -> None:
    pass
