"""The logs that pass one battery of tests: in memory, and in Redis.

Both are written through a `LogWriter` and read as viewers read. What is in Redis is read a third
time, as another process reads it, whenever a test asks what a log holds.
"""

import itertools
from dataclasses import dataclass, field
from typing import Any, Protocol

from streaming.core import codec
from streaming.core.entry import Entry, LogReader
from streaming.engine.alarms import Alarms
from streaming.engine.log_memory import LogBudget, MemoryLog
from streaming.engine.log_redis import RedisLogWriter
from streaming.engine.log_writer import LogWriter
from streaming.engine.redis_keys import log_key, meta_key
from streaming.engine.redis_link import RedisLink
from streaming.engine.redis_reader import RedisReader
from streaming.engine.redis_scripts import CREATE

EVERYTHING = 1 << 30
START = {"run": "it"}
START_SIZE = len(codec.encode(START))

Held = list[tuple[int, str, bytes, str | None]]
"""The number, name, payload and id of each event."""


def make_budget(max_bytes: int = EVERYTHING) -> LogBudget:
    """The bytes of all logs, of which none may go."""
    return LogBudget(max_bytes=max_bytes, make_room=lambda size: None)


def read_entries(log: LogReader, after: int = 0, *, max_bytes: int = EVERYTHING) -> list[Entry]:
    """Everything that is held after a number, as a viewer would read it, piece by piece."""
    entries: list[Entry] = []
    while piece := log.read(after, max_bytes=max_bytes).entries:
        entries += piece
        after = piece[-1].n
    return entries


def read_held(log: LogReader) -> Held:
    """All that a log holds."""
    return [(entry.n, entry.name, entry.payload, entry.id) for entry in read_entries(log)]


class WrittenLog(Protocol):
    """A log that holds a `start`, and what writes it."""

    log: MemoryLog
    """What viewers here read."""

    @property
    def writer(self) -> LogWriter:
        """What the execution of its run writes."""
        ...

    async def settle(self) -> None:
        """Wait until viewers can read all that was written."""
        ...

    async def reread(self) -> MemoryLog:
        """Read it as a process does that knows nothing of it."""
        ...


class Logs(Protocol):
    """Makes logs of one kind."""

    async def make(
        self,
        *,
        max_events: int = 1000,
        max_bytes: int = EVERYTHING,
        budget: LogBudget | None = None,
    ) -> WrittenLog:
        """Make a log with these bounds, with `START` as its first event."""
        ...


async def held(written: WrittenLog) -> Held:
    """All that a log holds, which is the same for whoever reads it."""
    await written.settle()
    events = read_held(written.log)
    copied = read_held(await written.reread())
    assert copied == events, (copied, events)
    return events


async def numbers(written: WrittenLog) -> list[int]:
    """The numbers of all events that a log holds."""
    return [n for n, *_ in await held(written)]


async def names(written: WrittenLog) -> list[str]:
    """The names of all events that a log holds."""
    return [name for _, name, *_ in await held(written)]


@dataclass(slots=True)
class WrittenInMemory:
    """See `WrittenLog`."""

    log: MemoryLog

    @property
    def writer(self) -> LogWriter:
        """The log itself."""
        return self.log

    async def settle(self) -> None:
        """There is nothing to wait for."""

    async def reread(self) -> MemoryLog:
        """Nobody else can."""
        return self.log


class MemoryLogs:
    """See `Logs`."""

    async def make(self, *, budget: LogBudget | None = None, **bounds: int) -> WrittenInMemory:
        log = MemoryLog("run", budget=budget or make_budget(), **_bounds(bounds))
        log.append("start", START)
        return WrittenInMemory(log)


@dataclass(slots=True, kw_only=True)
class WrittenInRedis:
    """See `WrittenLog`.

    Args:
        run: The run's id.
        log: The writer's copy.
        writer: What writes it.
        bounds: Those of each copy.
        link: What it is read over.
        lost: Whether the log was gone altogether, each time that the writer said it was lost.
        stops: What the run is to be ended for, each time that the writer said so.
    """

    run: str
    log: MemoryLog
    writer: RedisLogWriter = field(init=False)
    bounds: dict[str, int]
    link: RedisLink
    lost: list[bool] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)

    def receive_lost(self, is_gone: bool) -> None:
        """Write no more, as whoever executes a run."""
        self.lost.append(is_gone)
        self.writer.close()

    async def settle(self) -> None:
        """Wait until Redis has accepted it."""
        await self.writer.flush()

    async def reread(self) -> MemoryLog:
        """Read it from Redis."""
        log = MemoryLog(self.run, budget=make_budget(), **self.bounds)
        await RedisReader(self.link).catch_up(self.run, log)
        return log


class RedisLogs:
    """See `Logs`.

    Args:
        link: What they are written and read over.
    """

    def __init__(self, link: RedisLink) -> None:
        self.link = link
        self._alarms = Alarms()
        self._ids = itertools.count(1)

    async def make(
        self, *, budget: LogBudget | None = None, keep: float = 60.0, **bounds: int
    ) -> WrittenInRedis:
        run = f"{next(self._ids):032x}"
        start = codec.encode(START)
        await self.link.run_script(CREATE, [meta_key(run), log_key(run)], 600_000, start, *META)
        log = MemoryLog(run, budget=budget or make_budget(), **_bounds(bounds))
        log.take("start", [start])
        written = WrittenInRedis(run=run, log=log, bounds=_bounds(bounds), link=self.link)
        written.writer = RedisLogWriter(
            run,
            log=log,
            token=1,
            keep=keep,
            link=self.link,
            alarms=self._alarms,
            on_lost=written.receive_lost,
            on_stop=written.stops.append,
        )
        return written


META = ("owner", "me", "feed", "it", "caller", "", "fingerprint", "")


def _bounds(bounds: dict[str, Any]) -> dict[str, int]:
    return {"max_events": 1000, "max_bytes": EVERYTHING, **bounds}
