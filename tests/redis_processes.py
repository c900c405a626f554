"""Processes that share a Redis, all of them in this one: each has its runs, and nothing in common.

They may be killed, which another process notices as it would of a real one. What they do for each
other takes fractions of seconds here (`hurry`), where it takes seconds in production.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from streaming.core.feed import Feed, Upstream
from streaming.core.settings import LogSettings, ServerSettings, Settings
from streaming.engine import log_redis, redis_lease, redis_owners, redis_process, runs_redis
from streaming.engine.redis_process import RedisProcess
from streaming.engine.run import Run
from streaming.engine.runs_redis import RedisRuns
from streaming.engine.upstream_call import Outgoing
from tests.fan_out import PATIENCE, done, ended, until
from tests.log_battery import read_held
from tests.redis_server import RedisServer
from tests.upstream_gates import _GATES
from tests.upstreams import Upstreams


def log_url(redis: RedisServer) -> str:
    """What `[log] url` is for a Redis, be it a cluster."""
    return redis.url.replace("redis://", "redis+cluster://") if redis._is_cluster else redis.url


class HearingProcess(RedisProcess):
    """A process that only notes what it hears.

    Attributes:
        said: Each message: its channel, and what it says.
        gaps: How often something may not have been heard.
    """

    def __init__(self, url: str) -> None:
        self.said: list[tuple[str, str]] = []
        self.gaps = 0
        super().__init__(
            url,
            id=os.urandom(16).hex(),
            receive=lambda channel, text: self.said.append((channel, text)),
            on_gap=self._receive_gap,
            on_dead=lambda dead: None,
        )

    def _receive_gap(self) -> None:
        self.gaps += 1


@asynccontextmanager
async def hearing(url: str) -> AsyncIterator[HearingProcess]:
    """A process that works until the end of the block."""
    process = HearingProcess(url)
    process.start()
    try:
        async with asyncio.timeout(PATIENCE):
            await process.is_reachable()
        yield process
    finally:
        await process.aclose()


class Processes:
    """Processes, until `aclose`.

    Args:
        url: The URL of their Redis.
        outgoing: What carries their upstream calls.
    """

    def __init__(self, url: str, *, outgoing: Outgoing) -> None:
        self._url = url
        self._outgoing = outgoing
        self._all: list[RedisRuns] = []

    async def add(self, *feeds: Feed, max_runs: int = 100, **log: int) -> RedisRuns:
        """Start a process with these feeds, and wait until it has reached Redis."""
        settings = Settings(
            server=ServerSettings(max_runs=max_runs),
            log=LogSettings(url=self._url, **log),
            feeds={feed.name: feed for feed in feeds},
        )
        runs = RedisRuns(settings, outgoing=self._outgoing, random_bytes=os.urandom)
        self._all.append(runs)
        assert await runs.is_reachable()
        return runs

    async def kill(self, runs: RedisRuns) -> None:
        """End a process as `kill -9` does: from now on it does and says nothing."""
        self._all.remove(runs)
        for owned in runs._owned._owned.values():
            owned.writer.close()
            if owned.execution is not None:
                owned.execution.halt()
        await runs._process.aclose()

    async def aclose(self) -> None:
        """Kill all that are left."""
        for runs in list(self._all):
            await self.kill(runs)


def hurry(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
    """Have processes notice each other sooner: `lease`, `sweep`.

    A machine that stands still for a lease makes them all dead to each other: where none is killed
    it can be long.
    """
    lease = seconds.get("lease", 1.5)
    monkeypatch.setattr(redis_lease, "LEASE", lease)
    monkeypatch.setattr(redis_lease, "BEAT_INTERVAL", 0.05)
    monkeypatch.setattr(runs_redis, "SWEEP_INTERVAL", seconds.get("sweep", 0.2))
    monkeypatch.setattr(redis_owners, "STOP_INTERVAL", 0.1)
    monkeypatch.setattr(redis_process, "RETRY_WAIT", 0.05)
    monkeypatch.setattr(log_redis, "RETRY_WAIT", 0.05)


async def found(runs: RedisRuns, id: str) -> Run:
    """A run, as another process than its owner has it."""
    run = await runs.find(id)
    assert run is not None
    return run


async def executing(runs: RedisRuns, id: str) -> None:
    """Wait until a process executes a run."""
    await until(lambda: id in runs._owned and runs._owned._owned[id].execution is not None)


def in_use(runs: RedisRuns) -> dict[str, Any]:
    """What a process holds that it has to give back."""
    return {"runs": runs._table.all(), "bytes": runs._table.budget.used}


def others_of(runs: RedisRuns, id: str) -> set[str]:
    """The other processes that have viewers of a run, as far as its owner knows."""
    owned = runs._owned._owned.get(id)
    return owned.processes if owned else set()


def feed_of(upstreams: Upstreams, *paths: str, **options: Any) -> Feed:
    """A feed that calls these paths, each the upstream of its first segment."""
    calls = {path.split("/")[1]: Upstream(url=upstreams.base_url + path) for path in paths}
    return Feed("it", **{"on_disconnect": "detach", **options}, upstreams=calls)


def release(key: str) -> None:
    """Have the upstream answer that is held."""
    _GATES[key].set()


async def ended_alike(*runs: Run) -> dict[str, Any]:
    """Wait until a run has ended on several processes, with the same events; its last words."""
    for run in runs:
        await ended(run)
    first, *others = [read_held(run.log) for run in runs]
    for other in others:
        assert other == first
    assert [n for n, *_ in first] == list(range(1, len(first) + 1))
    return done(runs[0].log)
