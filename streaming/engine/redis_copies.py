"""Copies of runs' logs, for the viewers that a process has of them.

Loaded when they are first asked for, kept up to date while another process writes them, forgotten
when nobody has viewed them for a while.
"""

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from typing import Any

from streaming.core import codec
from streaming.core.errors_request import LogsFull, TooManyRuns
from streaming.core.feed import Feed
from streaming.core.settings import LogSettings
from streaming.engine.alarms import Alarms
from streaming.engine.log_memory import MemoryLog
from streaming.engine.log_redis import in_redis
from streaming.engine.redis_keys import meta_key, wake_channel
from streaming.engine.redis_link import LinkDown
from streaming.engine.redis_process import RETRY_WAIT, RedisProcess
from streaming.engine.remote_execution import Elsewhere, RemoteExecution
from streaming.engine.run import Run
from streaming.engine.run_table import RETRY_AFTER, RunTable

IDLE_KEEP = 10.0
"""Seconds that the copy of a run is kept here which nobody here views."""


class RedisCopies:
    """The runs that a process has a copy of; those that it executes among them.

    Args:
        process: This process.
        alarms: Those of the loop.
        max_runs: How many; see `RunTable`.
        feeds: Those that it knows; what is of another is not found.
        log: The bounds of logs.
        elsewhere: What tells the owners of what happens here.
        on_end: Called with each run that ends.
    """

    def __init__(
        self,
        process: RedisProcess,
        *,
        alarms: Alarms,
        max_runs: int,
        feeds: Mapping[str, Feed],
        log: LogSettings,
        elsewhere: Elsewhere,
        on_end: Callable[[Run], None],
    ) -> None:
        self._process = process
        self.table = RunTable(
            alarms=alarms,
            max_runs=max_runs,
            max_bytes=log.max_bytes,
            on_forget=self.unfollow,
        )
        self._feeds = feeds
        self._log = log
        self._elsewhere = elsewhere
        self._on_end = on_end
        self._loading: dict[str, asyncio.Task[Run | None]] = {}

    async def load(self, id: str) -> Run | None:
        """Load a run; all who ask for it meanwhile wait for the same.

        Raises:
            LinkDown: Redis is not reached.
            TooManyRuns, LogsFull: There is no room for it.
        """
        if (run := self.table.find(id)) is not None:
            return run
        task = self._loading.get(id)
        if task is None:
            # In an empty context: it must not hold the request that happens to ask first.
            context = contextvars.Context()
            task = asyncio.get_running_loop().create_task(self._load(id), context=context)
            self._loading[id] = task
            task.add_done_callback(lambda task: self._receive_loaded(id, task), context=context)
        # It ends with none of them.
        return await asyncio.shield(task)

    def _receive_loaded(self, id: str, task: "asyncio.Task[Run | None]") -> None:
        del self._loading[id]
        if not task.cancelled():
            # All who asked may have gone: nobody is told then.
            task.exception()

    async def _load(self, id: str) -> Run | None:
        # Whoever asks for what there is not costs one question.
        name, caller = await self._process.reads.call("HMGET", meta_key(id), "feed", "caller")
        feed = self._feeds.get(name.decode()) if name else None
        if feed is None:
            return None
        channel = wake_channel(id)
        run: Run | None = None
        try:
            # Before anything is read: what comes after it is heard of.
            await self._process.wakes.subscribe(channel)
            run = await self._read(id, feed, caller=caller.decode())
        finally:
            if self.table.find(id) is None or (run is not None and run.is_ended):
                self._process.wakes.unwant(channel)
        return run

    async def _read(self, id: str, feed: Feed, *, caller: str) -> Run | None:
        self.table.make_place()
        log = self.make_log(id)
        try:
            await self._process.reader.catch_up(id, log)
            ttl_ms = await self._process.reads.call("PTTL", meta_key(id))
        except BaseException:
            log.discard()
            raise
        # What is there a little longer than `keep` is for those who follow it already.
        left = ttl_ms / 1000 - (in_redis(feed.keep) - feed.keep)
        if not log.last or (log.is_ended and left <= 0):
            log.discard()
            return None
        if (there := self.table.find(id)) is not None:
            # It was started here meanwhile: there is one of each.
            log.discard()
            return there
        if self.table.budget.lacking(0) > 0:
            log.discard()
            raise LogsFull(self._log.max_bytes, retry_after=RETRY_AFTER)
        start = log.read(0, max_bytes=1).entries[0]
        params = codec.decode(bytes(codec.decode_members(start.payload)["params"]))
        run = self.make(id, feed=feed, params=params, caller=caller, log=log)
        try:
            # Others may have taken it meanwhile.
            self.table.make_place()
        except TooManyRuns:
            log.discard()
            raise
        self.table.add(run)
        if run.is_ended:
            self.table.let_go(run, after=left)
        else:
            self.follow(run)
        return run

    def make_log(self, id: str) -> MemoryLog:
        """Make a run's copy, with nothing in it."""
        return MemoryLog(
            id,
            budget=self.table.budget,
            max_events=self._log.max_events,
            max_bytes=self._log.max_log_bytes,
        )

    def make(
        self, id: str, *, feed: Feed, params: Mapping[str, Any], caller: str, log: MemoryLog
    ) -> Run:
        """Make a run of its copy."""
        return Run(id, feed=feed, params=params, caller=caller, log=log, on_end=self._on_end)

    async def catch_up_surely(self, id: str, log: MemoryLog) -> None:
        """Read all that there is of a run now, however long Redis is away."""
        while True:
            try:
                await self._process.reader.catch_up(id, log)
            except LinkDown:
                await asyncio.sleep(RETRY_WAIT)
            else:
                return

    def follow(self, run: Run) -> None:
        """Have a run's copy follow what another process writes."""
        self._process.wakes.want(wake_channel(run.id))
        self._process.reader.follow(run.id, run.log)
        run.execute_by(RemoteExecution(run, elsewhere=self._elsewhere))
        if not run.viewers:
            self.let_go(run)

    def unfollow(self, run: Run) -> None:
        """Have it follow no more: it has ended, or is written here."""
        self._process.reader.unfollow(run.id, run.log)
        self._process.wakes.unwant(wake_channel(run.id))

    async def catch_up(self, run: Run) -> None:
        """Read all that there is of a run now.

        Raises:
            LinkDown: Redis is not reached.
        """
        await self._process.reader.catch_up(run.id, run.log)

    def hold(self, run: Run) -> None:
        """Have a run stay, which may have been forgotten since it was found."""
        if self.table.find(run.id) is None:
            self.table.add(run)
            self._process.wakes.want(wake_channel(run.id))
            self._process.reader.follow(run.id, run.log)
        self.table.hold(run)

    def let_go(self, run: Run) -> None:
        """Forget a run by and by, which nobody here views."""
        self.table.let_go(run, after=IDLE_KEEP)

    async def check(self, runs: list[Run]) -> list[bool]:
        """Look which of these runs are in Redis, and read what is new of them.

        Raises:
            LinkDown: Redis is not reached.
        """
        for run in runs:
            self._process.reader.wake(run.id)
        exist = (self._process.reads.call("EXISTS", meta_key(run.id)) for run in runs)
        return [bool(reply) for reply in await asyncio.gather(*exist)]
