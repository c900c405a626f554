"""Ending a server, and all that can be seen of it from outside; a test looks at one thing each."""

import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx

from tests.servers.connections import read_until, stream_socket
from tests.servers.stacks import Stack, serving_stack
from tests.serving import LOOPBACK, Served
from tests.upstreams import UpstreamsThread
from tests.viewing import Viewer, ask, eventually, watching

STREAMS = 10

# Seconds in which two signals have to do what one does later: far from `drain_timeout`.
LONG_DRAIN_TIMEOUT = 60.0

# Open until they are ended, silent and talking.
_PATHS = ("/feeds/held?format=sse", "/feeds/held?format=ndjson", "/feeds/talking?format=sse")

_END_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a server ended.

    Args:
        took: Seconds from the signal, the second where there were two, to the process's end.
        status: Its exit status.
        log: All that it has said.
        last_words: The reason in the last event of each stream, or what came instead.
        is_port_free: Whether another could listen there at once.
        survivors: The processes that it had started, and that outlived it.
    """

    took: float
    status: int
    log: str
    last_words: list[str]
    is_port_free: bool
    survivors: list[int]


def end_once(stack: Stack, upstreams: UpstreamsThread, folder: Path) -> Ending:
    """Send one SIGTERM to a server with ten open streams."""
    with serving_stack(stack, upstreams, folder=folder) as served, ExitStack() as viewers:
        streams = [
            viewers.enter_context(watching(served.base_url, f"{path}&key={uuid4().hex}"))
            for path in (_PATHS * STREAMS)[:STREAMS]
        ]
        for stream in streams:
            stream.until("start")
        return end(served, streams)


def end(served: Served, streams: list[Viewer]) -> Ending:
    """Send one SIGTERM to a server whose streams these are, and read them to their ends."""
    started = _descendants(served.process.pid)
    told = time.monotonic()
    served.signal()
    last_words = [_last_word(stream) for stream in streams]
    return _see_end(served, told=told, started=started, last_words=last_words)


def end_twice(stack: Stack, upstreams: UpstreamsThread, folder: Path) -> Ending:
    """Send two SIGTERMs to a server with ten open streams, the second once the first is heeded."""
    with (
        serving_stack(stack, upstreams, folder=folder, drain_timeout=LONG_DRAIN_TIMEOUT) as served,
        ExitStack() as viewers,
    ):
        for path in (_PATHS * STREAMS)[:STREAMS]:
            target = f"{path}&key={uuid4().hex}"
            read_until(viewers.enter_context(stream_socket(served.port, target)), b"start")
        started = _descendants(served.process.pid)
        served.signal()
        eventually(lambda: ask(served.base_url, "/readyz").status_code == 503)
        told = time.monotonic()
        served.signal()
        return _see_end(served, told=told, started=started)


def _see_end(
    served: Served, *, told: float, started: list[int], last_words: list[str] | None = None
) -> Ending:
    status = served.wait(timeout=_END_TIMEOUT)
    return Ending(
        took=time.monotonic() - told,
        status=status,
        log=served.log(),
        last_words=last_words or [],
        is_port_free=_is_free(served.port),
        survivors=[pid for pid in started if _is_alive(pid)],
    )


def _last_word(stream: Viewer) -> str:
    try:
        rest = stream.rest()
    except httpx.TransportError as exc:
        return repr(exc)
    return rest[-1].data.get("reason", rest[-1].event) if rest else "none"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: what is left of closed connections is in nobody's way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _descendants(pid: int) -> list[int]:
    """All processes below one, where the kernel says so."""
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (thread / "children").read_text().split()]
    return found + [below for child in found for below in _descendants(child)]


def _is_alive(pid: int) -> bool:
    """Say whether a process runs; one that has ended may still wait to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
