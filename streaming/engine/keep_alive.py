"""Has the kernel give up a client that has vanished: its cable was pulled, its laptop shut.

Such a client says nothing, and what is written to it fits into the kernel's buffer: without a bound
of its own, Linux goes on sending for a quarter of an hour before it reports an error. Options of
the connection, shared by all descriptors of it; where a system lacks one, its own times hold.
"""

import math
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SILENCE_MARGIN = 5.0
"""Seconds beyond `send_timeout` until the kernel gives up a client that takes nothing: the engine
does so before, without an error of the server's, and without taking back what was sent."""

PROBE_INTERVAL = 5
"""Seconds between two probes of a client that did not answer the first."""

PROBES = 3
"""Probes without an answer, where there is no bound on silence itself (TCP_USER_TIMEOUT)."""

_MAX_PROBE_IDLE = 32_767  # seconds; what Linux takes
_MAX_TIMEOUT_MS = 2**31 - 1


def bound_silence(sock: socket.socket, *, seconds: float) -> None:
    """Have a connection end that its client leaves unanswered; harmless where it has ended.

    Sent data that is not acknowledged for so long ends it, and so does a window that stays shut
    with data waiting. Where nothing is to be sent the client is asked (keep-alive) after as long.

    Args:
        sock: The connection's socket; one that is not TCP is left as it is.
        seconds: How long, to the millisecond; keep-alive counts whole seconds.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    idle = min(math.ceil(seconds), _MAX_PROBE_IDLE)
    wanted = {
        "TCP_KEEPIDLE": idle,
        "TCP_KEEPALIVE": idle,  # what macOS calls it
        "TCP_KEEPINTVL": PROBE_INTERVAL,
        "TCP_KEEPCNT": PROBES,
        "TCP_USER_TIMEOUT": max(1, min(round(seconds * 1000), _MAX_TIMEOUT_MS)),
    }
    with suppress(OSError), _directly(sock) as own:  # it has ended
        own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in wanted.items():
            if (option := getattr(socket, name, None)) is not None:
                own.setsockopt(socket.IPPROTO_TCP, option, value)


@contextmanager
def _directly(sock: socket.socket) -> Iterator[socket.socket]:
    """Give a socket that is none but for its methods, such as uvloop's, as a real one.

    uvloop's makes a real one for each call.
    """
    if isinstance(sock, socket.socket):
        yield sock
        return
    own = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.fileno())
    try:
        yield own
    finally:
        own.detach()
