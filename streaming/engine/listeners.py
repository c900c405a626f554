"""Bounds the silence of clients whose sockets a server does not show: by way of its listeners.

An accepted connection takes on the options of the socket that listened, so that the kernel ends it
where no one else can: a thread that is stuck in writing to it comes back with an error. Linux alone
lists a process's descriptors in this way.
"""

import os
import socket
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

from streaming.engine.keep_alive import bound_silence

_DESCRIPTORS = Path("/proc/self/fd")


@cache
def bound_listeners(pid: int, *, seconds: float) -> None:
    """Bound the connections of this process's TCP listeners, those to come and those accepted.

    Args:
        pid: The process's id; it is done once in each.
        seconds: See `bound_silence`.
    """
    with ExitStack() as closing:
        sockets = [closing.enter_context(each) for each in _sockets()]
        ports = {each.getsockname()[1] for each in sockets if _is_listening(each)}
        for each in sockets:
            if each.getsockname()[1] in ports:
                bound_silence(each, seconds=seconds)


def _sockets() -> list[socket.socket]:
    """Return the TCP sockets of this process, each by a descriptor of its own."""
    found: list[socket.socket] = []
    with suppress(OSError):  # not on Linux
        for path in _DESCRIPTORS.iterdir():
            with suppress(OSError):  # no socket, or closed by now
                found += _internet_sockets(int(path.name))
    return found


def _internet_sockets(fd: int) -> list[socket.socket]:
    is_blocking = os.get_blocking(fd)
    duplicate = os.dup(fd)
    try:
        made = socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        raise
    finally:
        # `socket.setdefaulttimeout` would make what the two share non-blocking.
        os.set_blocking(fd, is_blocking)
    if made.family in (socket.AF_INET, socket.AF_INET6) and made.type == socket.SOCK_STREAM:
        return [made]
    made.close()
    return []


def _is_listening(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
