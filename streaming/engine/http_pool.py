"""The connections of one transport: those in use, and those that wait for another request.

The one that was used last is used first, so that as many wait as were lately needed, and the others
are closed after a while: by one timer for all. There is no bound on their number; the caller has
one (`max_connections`).
"""

import asyncio
import contextlib
import contextvars
from collections.abc import Hashable

from streaming.engine.http_connection import READ_BUFFER_BYTES, HttpConnection

KEEP_ALIVE = 4.0
"""Seconds for which an idle connection is kept; then it is closed.

Less than the 5 s after which uvicorn and Node close theirs: the two closing at once is how a call
meets a connection that is about to go.
"""

CLOSE_TIMEOUT = 1.0
"""Seconds that are waited for the loop to have closed what was closed: it takes one turn of it."""


class HttpPool:
    """Owns connections; see `streaming.engine.http_connection.Owner`. Used on one loop."""

    def __init__(self) -> None:
        self.read_buffer = memoryview(bytearray(READ_BUFFER_BYTES))
        self._loop = asyncio.get_running_loop()
        self._open: set[HttpConnection] = set()
        # By their ways, the last to be freed last; and all of them by the time, the oldest first.
        self._idle: dict[Hashable, dict[HttpConnection, None]] = {}
        self._idle_since: dict[HttpConnection, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        # A timer would hold the context of whoever freed the first connection.
        self._context = contextvars.Context()
        self._emptied: asyncio.Event | None = None

    def take(self, way: Hashable) -> HttpConnection | None:
        """Return a connection that waits for a request to go this way; None where none does.

        A loop that was busy has seen neither what came meanwhile, which would answer the request,
        nor the end, nor that time has passed: those connections are closed.
        """
        oldest = self._loop.time() - KEEP_ALIVE
        while waiting := self._idle.get(way):
            connection = next(reversed(waiting))
            if self._idle_since[connection] > oldest and connection.is_quiet:
                self._forget_idle(connection)
                return connection
            connection.close()
        return None

    async def aclose(self) -> None:
        """Close all connections, and wait until they are; new ones are closed as they come."""
        self._emptied = asyncio.Event()
        self._stop_timer()
        for connection in list(self._open):
            connection.close()
        if self._open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self._emptied.wait()

    def receive_open(self, connection: HttpConnection) -> None:
        """See `Owner`."""
        self._open.add(connection)
        if self._emptied is not None:
            connection.close()

    def receive_free(self, connection: HttpConnection) -> None:
        """See `Owner`."""
        if self._emptied is not None:
            connection.close()
            return
        self._idle.setdefault(connection.way, {})[connection] = None
        self._idle_since[connection] = self._loop.time()
        if self._timer is None:
            self._start_timer(KEEP_ALIVE)

    def receive_lost(self, connection: HttpConnection) -> None:
        """See `Owner`."""
        self._open.discard(connection)
        if self._emptied is not None and not self._open:
            self._emptied.set()

    def receive_closing(self, connection: HttpConnection) -> None:
        """See `Owner`."""
        if connection in self._idle_since:
            self._forget_idle(connection)

    def _forget_idle(self, connection: HttpConnection) -> None:
        del self._idle_since[connection]
        waiting = self._idle[connection.way]
        del waiting[connection]
        if not waiting:
            del self._idle[connection.way]

    def _start_timer(self, delay: float) -> None:
        self._timer = self._loop.call_later(delay, self._close_old, context=self._context)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_old(self) -> None:
        """Close what has waited for long enough; look again when the next will have."""
        self._timer = None
        now = self._loop.time()
        for connection, since in list(self._idle_since.items()):
            if since + KEEP_ALIVE > now:
                self._start_timer(since + KEEP_ALIVE - now)
                return
            connection.close()
