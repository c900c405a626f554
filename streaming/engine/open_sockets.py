"""The TCP sockets that this process has open, for servers that do not show theirs.

Linux and macOS list the descriptors of a process as files; elsewhere none is found.
"""

import os
import select
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from streaming.engine.threads import make_poll

_DESCRIPTORS = Path("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")


def tcp_sockets() -> Iterator[tuple[int, socket.socket]]:
    """Give each TCP socket by its descriptor, and as a duplicate until the next step."""
    names: list[str] = []
    with suppress(OSError):  # the system has no such list
        names = [path.name for path in _DESCRIPTORS.iterdir()]
    for fd in map(int, names):
        with suppress(OSError):  # closed by now
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                with duplicate(fd) as sock:
                    if _is_tcp(sock):
                        yield fd, sock


def duplicate(fd: int) -> socket.socket:
    """Make a socket of a descriptor of its own, so that nobody else's takes its place.

    It has no timeout, and the way in which its owner waits on the descriptor is not changed.

    Raises:
        OSError: The descriptor is not open, or no socket's.
    """
    own = os.dup(fd)
    is_blocking = os.get_blocking(own)
    try:
        sock = socket.socket(fileno=own)
    except OSError:
        os.close(own)
        raise
    if sock.gettimeout() is not None:
        # `socket.setdefaulttimeout` has made both non-blocking: they share that.
        sock.settimeout(None)
        os.set_blocking(own, is_blocking)
    return sock


def is_readable(fd: int) -> bool:
    """Say whether something waits to be read: bytes, the end, a failure. It waits for nothing."""
    if fd < 0:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([fd], [], [], 0)[0])
    poll = make_poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def _is_tcp(sock: socket.socket) -> bool:
    is_internet = sock.family in (socket.AF_INET, socket.AF_INET6)
    return is_internet and sock.type == socket.SOCK_STREAM
