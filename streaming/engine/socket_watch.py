"""Notices that a client has gone, by its socket, without waiting for a write that fails.

The engine's selector watches a duplicate of the descriptor, so that the server may close its own
whenever it likes and no reused number is ever watched. At the end of file a beat is written: a
client that has gone answers it with a reset; one that only closed its sending half goes on reading.
When that one leaves, nothing is heard of it until more is written, so it gets a beat each second.
Data instead of the end of file is a request that was sent ahead: what comes behind it cannot be
seen without taking it, and so the connection's state is looked at each second.
"""

import asyncio
import os
import socket
import sys
from contextlib import suppress

from streaming.engine.keep_alive import SILENCE_MARGIN, bound_silence
from streaming.engine.open_sockets import duplicate
from streaming.engine.viewer import Viewer

CONFIRM_AFTER = (0.0, 0.005, 0.195)
"""Seconds from a beat that is to be answered by a reset to the look at the connection, and from
each look to the next: one on the same machine has answered when the beat is written, one that is
near soon after, and where many come and go, each that is held for longer is one more to hold. The
reset of a client far away may take longer than all; it is seen before the next beat."""

BEAT_INTERVAL = 1.0
"""Seconds between two beats for a client that has closed its sending half, and between two looks
at a connection with a request that was sent ahead."""

# The first byte of Linux's struct tcp_info.
_TCP_CLOSE = 7  # reset, or given up
_TCP_CLOSE_WAIT = 8  # the client has closed its sending half at least


class ClientLooks:
    """Looks at a connection whose client has closed its sending half, or sent a request ahead.

    Made, used and closed on the engine's loop.

    Args:
        sock: The connection's socket.
        viewer: Told when its client has gone.
    """

    def __init__(self, sock: socket.socket, *, viewer: Viewer) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._viewer = viewer
        self._timer: asyncio.TimerHandle | None = None
        self._is_at_end = False

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def begin(self, *, is_at_end: bool) -> None:
        """Look now, and each second.

        Args:
            is_at_end: Whether the client has closed its sending half, for all that is known.
        """
        self._is_at_end = is_at_end
        if is_at_end:
            self._beat()
        else:
            self._look()

    def _look(self) -> None:
        state = self._state()
        if state == _TCP_CLOSE:
            self._viewer.receive_gone()
        elif self._is_at_end or state == _TCP_CLOSE_WAIT:
            self._beat()
        else:
            self._timer = self._loop.call_later(BEAT_INTERVAL, self._look)

    def _beat(self) -> None:
        self._viewer.hasten_beat()
        self._confirm_after(*CONFIRM_AFTER)

    def _confirm_after(self, wait: float, *further: float) -> None:
        self._timer = self._loop.call_later(wait, self._confirm, *further)

    def _confirm(self, *further: float) -> None:
        """Look for the reset that answers a beat."""
        if self._state() == _TCP_CLOSE:
            self._viewer.receive_gone()
        elif further:
            self._confirm_after(*further)
        else:
            wait = BEAT_INTERVAL - sum(CONFIRM_AFTER)
            self._timer = self._loop.call_later(wait, self._look)

    def _state(self) -> int | None:
        # Elsewhere the state has other numbers, or cannot be asked for: there beats tell.
        if sys.platform != "linux":
            return None
        if self._socket.family not in (socket.AF_INET, socket.AF_INET6):
            return None
        try:
            return self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        except (OSError, ValueError):  # its owner has closed it; uvloop's then has no number
            return _TCP_CLOSE


class SocketWatch:
    """Watches one client's socket for one viewer. Made, used and closed on the engine's loop.

    Args:
        fd: The descriptor of the server's socket; it is duplicated at once.
        viewer: Told when its client has gone, and given the means to break the response off.
        send_timeout: Seconds that a write may take; a client that acknowledges nothing for
            `SILENCE_MARGIN` longer is given up by the kernel.

    Raises:
        OSError: It cannot be watched; nothing is left of the try.
    """

    def __init__(self, fd: int, *, viewer: Viewer, send_timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._viewer = viewer
        is_blocking = os.get_blocking(fd)
        self._socket = duplicate(fd)
        self._looks = ClientLooks(self._socket, viewer=viewer)
        try:
            bound_silence(self._socket, seconds=send_timeout + SILENCE_MARGIN)
            self._loop.add_reader(self._socket, self._receive_readable)
            # uvloop makes what it watches non-blocking, and the two descriptors share that: a
            # thread that sends to a slow client would fail instead of waiting.
            os.set_blocking(fd, is_blocking)
        except BaseException:
            self.close()
            raise
        viewer.abort = self._abort

    def close(self) -> None:
        """End the watch; harmless when it has ended."""
        if self._socket.fileno() < 0:
            return
        self._loop.remove_reader(self._socket)
        self._looks.close()
        self._socket.close()

    def _receive_readable(self) -> None:
        try:
            data = self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            self._loop.remove_reader(self._socket)
            self._viewer.receive_gone()
            return
        self._loop.remove_reader(self._socket)
        self._looks.begin(is_at_end=not data)

    def _abort(self) -> None:
        """Break the response off: a thread that is stuck in sending comes back with an error."""
        with suppress(OSError):  # it may be closed already
            self._socket.shutdown(socket.SHUT_RDWR)
