"""A thousand clients come and leave, however they do: a server then holds what it held before.

Real servers, looked into by `tests.inspecting`; `make soak` has ten thousand on every server.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from streaming.servers import SERVERS
from tests.inspecting import Inspected, inspecting
from tests.leaving import FEEDS, leave_often
from tests.upstreams import UpstreamsThread

VISITS = 1_000
MANY_VISITS = 10_000

# Bytes that memory may grow by, after half as many visits to begin with: the allocator keeps some
# of what was free once. An open stream takes more than 20 KiB; a thousand would be 20 MiB.
MEMORY_MARGIN = 8 << 20

# Seconds until a server has closed what it keeps by itself, such as idle connections.
SETTLING_TIMEOUT = 30.0

# Looks, a tenth of a second apart, in which nothing changes.
SAMPLES = 10

# waitress trips over a client that leaves before the answer to a malformed request.
WAITRESS_TRIPS = re.compile(
    r"ERROR:waitress:Exception when servicing.*?has no attribute 'path'\n", re.DOTALL
)

THREADS = 40
CONFIG = f"[server]\ndrain_timeout = 1.0\n{FEEDS}"
DEFAULTS = [(app, next(iter(servers)), VISITS) for app, servers in SERVERS.items()]
EVERY = [(app, name, MANY_VISITS) for app, servers in SERVERS.items() for name in servers]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a server holds, once it has come to rest."""

    inside: dict[str, Any]
    descriptors: int
    threads: int
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Visited:
    """A server before and after the visits, and what its log says."""

    before: Held
    after: Held
    unclosed: dict[str, int]
    log: str


@pytest.fixture(
    scope="module",
    params=[*DEFAULTS, *(pytest.param(each, marks=pytest.mark.soak) for each in EVERY)],
    ids=lambda each: "-".join(map(str, each)),
)
def visited(request, tmp_path_factory) -> Iterator[Visited]:
    app, server, visits = request.param
    folder = tmp_path_factory.mktemp(server)
    with UpstreamsThread() as upstreams:
        options = ["--threads", str(THREADS)]
        env = {"UPSTREAMS": upstreams.base_url}
        with inspecting(
            app, CONFIG, folder=folder, server=server, env=env, options=options
        ) as served:
            leave_often(served.port, visits // 2)
            if app == "flask":
                # A pool starts its threads when they are needed.
                served.meet(THREADS)
            before = at_rest(served, upstreams)
            leave_often(served.port, visits)
            after = at_rest(served, upstreams, before=before)
            visited = Visited(
                before=before, after=after, unclosed=unclosed(upstreams), log=served.served.log()
            )
        yield visited


def at_rest(served: Inspected, upstreams: UpstreamsThread, *, before: Held | None = None) -> Held:
    """Wait until nothing is done any more; what is held then, be it more than before."""
    deadline = time.monotonic() + SETTLING_TIMEOUT
    held = [look(served)]
    while time.monotonic() < deadline:
        time.sleep(0.1)
        held.append(look(served))
        # Calls that were answered leave their connections to the next, for some seconds.
        if upstreams.open_connections or not is_same(*held[-2:]):
            held = held[-1:]
        elif len(held) > SAMPLES and (before is None or is_within(least(held), before)):
            break
    return least(held)


def look(served: Inspected) -> Held:
    return Held(
        inside=served.look(),
        descriptors=served.descriptors(),
        threads=served.threads(),
        memory_bytes=served.memory_bytes(),
    )


def least(held: list[Held]) -> Held:
    """The last of them, without the connections by which it was looked at."""
    return replace(held[-1], descriptors=min(each.descriptors for each in held))


def is_same(held: Held, other: Held) -> bool:
    is_idle = not (held.inside["streams"] or held.inside["runs"])
    return is_idle and counts(held)[1:] == counts(other)[1:]


def is_within(held: Held, before: Held) -> bool:
    return all(map(int.__le__, counts(held), counts(before)))


def counts(held: Held) -> tuple[int, int, int]:
    return held.descriptors, held.threads, held.inside["tasks"]


def unclosed(upstreams: UpstreamsThread) -> dict[str, int]:
    """The upstream calls that never answer whole, and that nobody has hung up on."""
    return {
        path: calls
        for path, calls in upstreams.calls.items()
        if not path.startswith("/json/") and calls != upstreams.closed_by_peer[path]
    }


def test_no_descriptor_is_left(visited):
    """All sockets are closed, those of clients and those of upstream calls."""
    assert visited.after.descriptors <= visited.before.descriptors


def test_no_thread_is_left(visited):
    """No thread of a view or of a worker lives on."""
    assert visited.after.threads <= visited.before.threads


def test_no_task_is_left(visited):
    """Neither streams, runs, upstream calls nor the server's own connections keep a task."""
    assert visited.after.inside["tasks"] <= visited.before.inside["tasks"]


def test_no_stream_or_run_is_left(visited):
    """The engine counts no stream and no viewer, and its logs hold nothing."""
    names = ("streams", "viewers", "runs", "log_bytes")
    assert {name: visited.after.inside[name] for name in names} == dict.fromkeys(names, 0)


def test_no_object_is_left(visited):
    """What streams are made of has gone, but for what the last of them may still hold."""
    objects = visited.after.inside["objects"]
    assert {name: count for name, count in objects.items() if count >= VISITS // 10} == {}


def test_no_request_is_left(visited):
    """The framework's requests have gone, but for the one that looks."""
    assert set(visited.after.inside["requests"]) == {"/inside?"}


def test_no_memory_is_left(visited):
    """Memory has grown by less than `MEMORY_MARGIN`."""
    assert visited.after.memory_bytes - visited.before.memory_bytes < MEMORY_MARGIN


def test_no_upstream_call_is_left(visited):
    """Each upstream that had not answered has seen its connection closed."""
    assert visited.unclosed == {}


def test_nothing_is_logged_as_an_error(visited):
    """A client that leaves is nobody's mistake."""
    log = WAITRESS_TRIPS.sub("", visited.log)
    assert "Traceback" not in log
    assert "ERROR" not in log
