"""Notices that a WSGI client has gone, by its socket, without writing and without polling.

The engine's selector watches a duplicate of the descriptor, so that the server may close its own
whenever it likes and no reused number is ever watched. At the end of file one beat is written: a
client that has gone answers it with a reset; one that only closed its sending half goes on reading.
Data instead of the end of file is a pipelined request: the watch ends, and beats tell.
"""

import asyncio
import os
import socket
import sys
from contextlib import suppress

from streaming.engine.viewer import Viewer

CONFIRM_AFTER = 0.2
"""Seconds from the beat that is written at the end of file to the look at the connection. Each
further look comes after twice the time: the reset of a client far away takes longer."""

_TCP_CLOSE = 7  # the first byte of Linux's struct tcp_info, TCP_CLOSE


class SocketWatch:
    """Watches one client's socket for one viewer. Made, used and closed on the engine's loop.

    Args:
        fd: The descriptor of the server's socket; it is duplicated at once.
        viewer: Told when its client has gone, and given the means to break the response off.
    """

    def __init__(self, fd: int, *, viewer: Viewer) -> None:
        self._loop = asyncio.get_running_loop()
        self._viewer = viewer
        is_blocking = os.get_blocking(fd)
        self._socket = _duplicate(fd)
        self._timer: asyncio.TimerHandle | None = None
        viewer.abort = self._abort
        self._loop.add_reader(self._socket, self._receive_readable)
        # uvloop makes what it watches non-blocking, and the two descriptors share that: a thread
        # that sends to a slow client would fail instead of waiting.
        os.set_blocking(fd, is_blocking)

    def close(self) -> None:
        """End the watch; harmless when it has ended."""
        if self._socket.fileno() < 0:
            return
        self._loop.remove_reader(self._socket)
        if self._timer is not None:
            self._timer.cancel()
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
        if not data:
            self._viewer.hasten_beat()
            self._confirm_after(CONFIRM_AFTER)

    def _confirm_after(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._confirm, seconds)

    def _confirm(self, waited: float) -> None:
        if self._is_reset():
            self._viewer.receive_gone()
        else:
            self._confirm_after(waited * 2)

    def _is_reset(self) -> bool:
        # Elsewhere the state has other numbers, or cannot be asked for: there beats tell.
        if sys.platform != "linux":
            return False
        if self._socket.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        return info[0] == _TCP_CLOSE

    def _abort(self) -> None:
        """Break the response off: a thread that is stuck in sending comes back with an error."""
        with suppress(OSError):  # it may be closed already
            self._socket.shutdown(socket.SHUT_RDWR)


def _duplicate(fd: int) -> socket.socket:
    """Duplicate a descriptor without a change to the way in which its owner waits on it."""
    is_blocking = os.get_blocking(fd)
    duplicate = os.dup(fd)
    try:
        # It takes on `socket.setdefaulttimeout`, which makes what the two share non-blocking.
        made = socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        raise
    made.settimeout(None)
    os.set_blocking(fd, is_blocking)
    return made
