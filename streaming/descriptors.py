"""The descriptors that a server may open: as many as the system allows.

Where those are too few for what is configured, there is a sentence that says so. A limit is each
process's own, and those that it starts inherit it: the parent raises its own. On Linux and macOS.
"""

import resource
import sys

from streaming.core.settings import ServerSettings

BESIDE_STREAMS = 1000
"""Descriptors for all that is neither a stream nor a call to an upstream: connections that are
silent, kept or refused (`streaming.servers.IDLE_CONNECTIONS`), listening sockets, files, loops."""

MAX_LIMIT = 1_048_576
"""Descriptors that are asked for at most, where the hard limit is higher or there is none: Linux
refuses more."""

MAX_LIMIT_MACOS = 10_240
"""The same on macOS, which may refuse more though it says that there is no limit."""


def raise_limit() -> int:
    """Raise this process's soft limit on descriptors to the hard one, or `MAX_LIMIT`.

    Returns:
        What the limit is now.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_LIMIT_MACOS if sys.platform == "darwin" else MAX_LIMIT
    wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return most if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):  # the kernel has a bound of its own below what it says
        return soft
    return wanted


def describe_shortage(settings: ServerSettings, *, per_stream: int, limit: int) -> str | None:
    """Say why a process cannot open all that it may be asked for; None where it can.

    Args:
        settings: The bounds of the process.
        per_stream: Descriptors that a stream takes.
        limit: Descriptors that the process may open.
    """
    streams = settings.max_streams * per_stream
    needed = streams + settings.max_connections + BESIDE_STREAMS
    if needed <= limit:
        return None
    return (
        f"this process may open {limit} descriptors, and max_streams = {settings.max_streams} with"
        f" max_connections = {settings.max_connections} can take {needed}: raise the hard limit"
        f" (ulimit -Hn, LimitNOFILE=) to {needed}, or lower the two"
    )
