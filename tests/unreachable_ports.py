"""Ports that no connection comes to: one refuses, one keeps whoever knocks waiting."""

import contextlib
import functools
import select
import socket
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"

# How long a knock must have been unanswered to count, and how many knocks a full backlog may take.
_UNANSWERED = 0.3
_MAX_KNOCKS = 16


@functools.cache
def closed_port() -> int:
    """A port that refuses connections: it is bound for as long as the process runs, and deaf.

    A port that was merely closed could be taken by another test in the meantime.
    """
    bound = socket.socket()
    bound.bind((LOOPBACK, 0))
    port: int = bound.getsockname()[1]
    bound.detach()
    return port


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose queue of connections is full, so that another connect hangs."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind((LOOPBACK, 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(_MAX_KNOCKS):
            knock = stack.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex(address)
            _, connected, _ = select.select([], [knock], [], _UNANSWERED)
            if not connected:
                break
        else:
            raise RuntimeError(f"{_MAX_KNOCKS} connections did not fill a backlog of 0")
        yield address[1]
