"""Breaks off a connection of this process that is known by its two addresses alone.

For servers that show an application neither socket nor transport: who takes nothing any more would
be kept, with what waits for it, until it leaves by itself. Used on the engine's loop.
"""

import socket
import time
from contextlib import suppress

from streaming.engine.open_sockets import duplicate, tcp_sockets

LOOK_INTERVAL = 1.0
"""Seconds for which it is remembered which connection has which descriptor. As many as the engine
has from one look for those who take nothing to the next: all of them are found by one search."""

Address = tuple[str, int]


class Connections:
    """The connections of this process, by their addresses."""

    def __init__(self) -> None:
        self._descriptors: dict[tuple[Address, Address], int] = {}
        self._looked_at = float("-inf")

    def shut_down(self, *, peer: Address, local: Address) -> bool:
        """Shut one down, which its server then closes; False where it is not found.

        Args:
            peer: The address of its other end.
            local: The address of this end.
        """
        now = time.monotonic()
        if now - self._looked_at > LOOK_INTERVAL:
            self._look()
            self._looked_at = now
        fd = self._descriptors.get((peer, local))
        if fd is None:
            return False
        with suppress(OSError), duplicate(fd) as sock:
            if _addresses(sock) == (peer, local):
                sock.shutdown(socket.SHUT_RDWR)
                return True
        return False

    def _look(self) -> None:
        self._descriptors.clear()
        for fd, sock in tcp_sockets():
            with suppress(OSError):  # it listens, or has just been closed by its client
                self._descriptors[_addresses(sock)] = fd


def _addresses(sock: socket.socket) -> tuple[Address, Address]:
    # With IPv6 two more members follow.
    peer, local = sock.getpeername()[:2], sock.getsockname()[:2]
    return peer, local
