"""Runs of feeds against the test upstreams, and what they have said.

For tests of the engine below HTTP: no request, no wire. What a log holds is read through the same
interface as a viewer's, and decoded.
"""

import asyncio
import functools
import gc
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from streaming.core import codec
from streaming.core.call import build_call
from streaming.core.entry import Data, LogReader
from streaming.core.errors_upstream import UpstreamError
from streaming.core.feed import Feed, Upstream
from streaming.core.settings import LogSettings, ServerSettings, Settings
from streaming.engine.alarms import Alarms
from streaming.engine.engine import Engine
from streaming.engine.execution import Execution
from streaming.engine.loop import make_loop
from streaming.engine.run import Run
from streaming.engine.run_table import RunTable
from streaming.engine.runs import Runs
from streaming.engine.runs_memory import MemoryRuns
from streaming.engine.streams import Place
from streaming.engine.transport import Transport
from streaming.engine.transport_httptools import HttptoolsTransport
from streaming.engine.upstream_call import Outgoing, UpstreamCall

# Seconds. Machines are shared: this only bounds what would else hang.
PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Said:
    """An event as it stands in a log."""

    n: int
    name: str
    data: dict[str, Any]


def said(log: LogReader, *names: str) -> list[Said]:
    """Everything that a log holds, or all events of these names."""
    events: list[Said] = []
    cursor = 0
    while entries := log.read(cursor, max_bytes=1 << 20).entries:
        events += [Said(entry.n, entry.name, codec.decode(entry.payload)) for entry in entries]
        cursor = entries[-1].n
    return [event for event in events if event.name in names or not names]


def outcomes(log: LogReader) -> dict[str, Said]:
    """What became of each upstream, in the order in which it was said."""
    return {event.data["upstream"]: event for event in said(log, "result", "failure")}


def done(log: LogReader) -> dict[str, Any]:
    """The data of the last event, which is `done`."""
    last = said(log)[-1]
    assert last.name == "done"
    return last.data


async def ended(run: Run) -> list[Said]:
    """Wait until a run has ended; everything that it has said."""
    async with asyncio.timeout(PATIENCE):
        await run.wait_ended()
    return said(run.log)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so that nothing tells of: a count of tasks, a file descriptor."""
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.005)


def until_in_thread(is_so: Callable[[], bool]) -> None:
    """Wait as `until` does, in a test that blocks."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it never was so"
        time.sleep(0.005)


def descriptors() -> int:
    """How many files and sockets this process has open."""
    _open_what_stays()
    return len(list(Path("/dev/fd").iterdir()))


def descriptors_before() -> int:
    """How many there are before a test's own: what earlier ones left to the collector is closed."""
    gc.collect()
    return descriptors()


@functools.cache
def _open_what_stays() -> None:
    """The first loop of uvloop's opens a pipe that all share."""
    make_loop().close()


@asynccontextmanager
async def outgoing(
    transport: Transport | None = None,
    *,
    max_connections: int = 100,
    random: Callable[[], float] = lambda: 0.0,
) -> AsyncIterator[Outgoing]:
    """What carries calls: the default transport unless another is given, without jitter."""
    async with aclosing(transport or HttptoolsTransport()) as carrier:
        slots = asyncio.Semaphore(max_connections)
        yield Outgoing(transport=carrier, slots=slots, random=random, alarms=Alarms())


def free_slots(outgoing: Outgoing) -> int:
    """How many connections may be opened now."""
    return outgoing.slots._value


def make_runs(outgoing: Outgoing, *, max_runs: int = 100, **log: int) -> MemoryRuns:
    """A process's runs, with the bounds of its logs."""
    return MemoryRuns(
        outgoing=outgoing, max_runs=max_runs, log=LogSettings(**log), random_bytes=os.urandom
    )


@asynccontextmanager
async def running(
    transport: Transport | None = None, *, max_connections: int = 100, **bounds: int
) -> AsyncIterator[MemoryRuns]:
    """A process's runs, which all end with the block."""
    async with outgoing(transport, max_connections=max_connections) as carrier:
        runs = make_runs(carrier, **bounds)
        try:
            yield runs
        finally:
            await runs.end_all()
            await runs.aclose()


@asynccontextmanager
async def engine_of(*feeds: Feed, **server: Any) -> AsyncIterator[Engine]:
    """An engine with these feeds and bounds, closed at the end of the block."""
    settings = Settings(server=ServerSettings(**server), feeds={feed.name: feed for feed in feeds})
    async with aclosing(Engine(settings)) as engine:
        yield engine


async def start(runs: Runs, feed: Feed, params: Mapping[str, Any] | None = None) -> Run:
    """Start a run that waits for nobody unless its feed says so."""
    run, _ = await runs.start(feed, params or {}, caller="")
    return run


def table_of(engine: Engine) -> RunTable:
    """The runs that an engine holds in its own memory."""
    assert isinstance(engine.runs, MemoryRuns)
    return engine.runs._table


def execution_of(run: Run) -> Execution:
    """What executes a run here, as long as it is live."""
    assert isinstance(run._execution, Execution)
    return run._execution


def at(place: Place) -> Callable[[], Awaitable[Place]]:
    """How a stream finds a place that is known already."""

    async def find() -> Place:
        return place

    return find


def detached(**upstreams: Upstream) -> Feed:
    """A feed that no viewer's leaving ends."""
    return Feed("it", on_disconnect="detach", upstreams=upstreams)


@dataclass(kw_only=True)
class Called:
    """What one upstream call came to.

    Args:
        result: The data of its `result`; None where it was given up.
        error: Why it was given up.
        events: The names and data of the `attempt` and `chunk` events.
        facts: What its outcome says of it in either case.
    """

    result: Data | None = None
    error: UpstreamError | None = None
    events: list[tuple[str, Data]] = field(default_factory=list)
    facts: Data = field(default_factory=dict)

    @property
    def code(self) -> str | None:
        """The code of its failure."""
        return self.error.code if self.error else None

    def data(self, name: str) -> list[Data]:
        """The data of all events of a name."""
        return [data for each, data in self.events if each == name]

    @property
    def chunks(self) -> list[Any]:
        """What came piece by piece."""
        return [data["data"] for data in self.data("chunk")]

    def receive_chunks(self, upstream: str, first: int, values: Sequence[Any]) -> None:
        """Note them as a run writes them."""
        for n, value in enumerate(values, first):
            self.events.append(("chunk", {"upstream": upstream, "n": n, "data": value}))


async def call(
    upstream: Upstream, outgoing: Outgoing, *, left: float = PATIENCE, into: Called | None = None
) -> Called:
    """Call an upstream once, for a run that has so many seconds left; see `into` meanwhile."""
    called = into or Called()
    upstream_call = UpstreamCall(
        "it",
        upstream,
        build_call(upstream, {}),
        outgoing=outgoing,
        emit=lambda name, data: called.events.append((name, data)),
        emit_chunks=called.receive_chunks,
        give_way=partial(asyncio.sleep, 0),
        deadline=time.monotonic() + left,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            called.result = await upstream_call.execute()
    except UpstreamError as error:
        called.error = error
    called.facts = upstream_call.facts()
    return called
