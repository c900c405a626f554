"""Breaks off a connection of this process that is known by its addresses alone.

For servers that show an application neither socket nor transport: who takes nothing any more would
be kept, with what waits for it, until it leaves by itself. Used on the engine's loop.
"""

import ipaddress
import socket
import time
from contextlib import suppress

from streaming.engine.open_sockets import duplicate, tcp_sockets

LOOK_INTERVAL = 1.0
"""Seconds for which it is remembered which connection has which descriptor. As many as the engine
has from one look for those who take nothing to the next: all of them are found by one search."""

Address = tuple[str, int]

_Ends = tuple[Address, int]


class Connections:
    """The connections of this process, by the address of the other end and the port of this one.

    Not by this end's address: a server that listens on all of them may name the one that it was
    told (0.0.0.0) rather than the one that its client has connected to.
    """

    def __init__(self) -> None:
        self._descriptors: dict[_Ends, int] = {}
        self._looked_at = float("-inf")

    def shut_down(self, *, peer: Address, port: int) -> bool:
        """Shut one down, which its server then closes.

        Args:
            peer: The address of its other end.
            port: The port of this end.

        Returns:
            False where it is not found, or cannot be shut down for want of descriptors.
        """
        with suppress(OSError):
            return self._shut_down((_plain(peer), port))
        return False

    def _shut_down(self, ends: _Ends) -> bool:
        now = time.monotonic()
        if now - self._looked_at > LOOK_INTERVAL:
            self._look()
            self._looked_at = now
        fd = self._descriptors.get(ends)
        if fd is None:
            return False
        with duplicate(fd) as sock:
            if _ends(sock) != ends:
                return False
            sock.shutdown(socket.SHUT_RDWR)
        return True

    def _look(self) -> None:
        self._descriptors.clear()
        for fd, sock in tcp_sockets():
            with suppress(OSError):  # it listens, or has just been closed by its client
                self._descriptors[_ends(sock)] = fd


def _ends(sock: socket.socket) -> _Ends:
    # With IPv6 two more members follow.
    return _plain(sock.getpeername()[:2]), sock.getsockname()[1]


def _plain(address: Address) -> Address:
    """Write an address in one form: IPv4 as such where IPv6 carries it, and without a zone."""
    host, port = address
    with suppress(ValueError):
        parsed = ipaddress.ip_address(host.partition("%")[0])
        mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
        host = str(mapped or parsed)
    return host, port
