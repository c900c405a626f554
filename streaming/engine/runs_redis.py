"""The runs of all processes that share a Redis, as one of them sees them (docs/redis.md).

A run is executed by the process that started it, until that one is dead or hands it over; then
another goes on with it. Every process can follow every run: it reads a copy of its log.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from streaming.core import codec
from streaming.core.errors_request import InvalidParameter, LogsFull, LogUnreachable, TooManyRuns
from streaming.core.feed import Feed
from streaming.core.ident import RUN_ID_BYTES, is_run_id, make_run_id
from streaming.core.progress import read_progress
from streaming.core.settings import Settings
from streaming.engine.execution import Execution, start_data
from streaming.engine.log_memory import MemoryLog
from streaming.engine.log_writer import write_lost
from streaming.engine.redis_copies import RedisCopies
from streaming.engine.redis_keys import (
    ORPHANS,
    inbox_channel,
    share_name,
)
from streaming.engine.redis_link import LinkDown
from streaming.engine.redis_new_runs import RedisNewRuns
from streaming.engine.redis_owned import RedisOwned
from streaming.engine.redis_owners import RedisOwners
from streaming.engine.redis_process import RETRY_WAIT, RedisProcess
from streaming.engine.redis_takeover import Claim, RedisTakeover
from streaming.engine.run import Run
from streaming.engine.run_table import RETRY_AFTER
from streaming.engine.runs import share_key
from streaming.engine.upstream_call import Outgoing

logger = logging.getLogger("fanstream")

PROCESS_ID_BYTES = 16
"""Random bytes in the id of a process."""

SWEPT_TOGETHER = 32
"""Runs that are looked at together."""

SWEEP_PAUSE = 0.05
"""Seconds until the next are; none after a gap."""

SWEEP_INTERVAL = 5.0
"""Seconds between two looks at all runs that are live here, which catch what was not heard."""

FLUSH_TIMEOUT = 1.0
"""Seconds that events have to get to Redis, when runs are handed over."""


class RedisRuns:
    """See `streaming.engine.runs.Runs`.

    Args:
        settings: The configuration.
        outgoing: What carries the upstream calls.
        random_bytes: Gives so many unguessable bytes.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        outgoing: Outgoing,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._feeds = settings.feeds
        self._log = settings.log
        self._outgoing = outgoing
        self._random_bytes = random_bytes
        self._gap = asyncio.Event()
        # Logs of runs whose feed is not here, while their end is written.
        self._unknown: dict[str, MemoryLog] = {}
        self._process = RedisProcess(
            settings.log.url,
            id=random_bytes(PROCESS_ID_BYTES).hex(),
            receive=self._receive_message,
            on_gap=self._gap.set,
            on_dead=self._receive_dead,
        )
        self._new = RedisNewRuns(self._process, find=self.find, on_unused=self._gap.set)
        self._owners = RedisOwners(self._process)
        self._owned = RedisOwned(self._process, alarms=outgoing.alarms, on_lost=self._receive_lost)
        self._copies = RedisCopies(
            self._process,
            alarms=outgoing.alarms,
            max_runs=settings.server.max_runs,
            feeds=settings.feeds,
            log=settings.log,
            elsewhere=self,
            on_end=self._receive_end,
        )
        self._table = self._copies.table
        self._takeover = RedisTakeover(
            self._process,
            feeds=settings.feeds,
            owned=self._owned,
            prepare=self._copies.load,
            go_on=self._go_on,
        )
        self._process.start(
            self._owned.run(), self._owners.run(), self._takeover.run(), self._sweep()
        )

    async def is_reachable(self) -> bool:
        """See `Runs`, as for the others."""
        return await self._process.is_reachable()

    async def _check_reachable(self) -> None:
        """Refuse what needs Redis where it is not there.

        Raises:
            LogUnreachable: It is not.
        """
        if not await self._process.is_reachable():
            raise LogUnreachable(retry_after=RETRY_AFTER)

    # ------------------------------------------------------------------- finding

    async def find(self, id: str) -> Run | None:
        """Return a run that is live or kept, on whatever process."""
        if not is_run_id(id):
            return None
        run = self._table.find(id)
        if run is not None and run.is_ended:
            return run
        if id in self._owned:
            await self._owned.settle(id)
            return run
        await self._check_reachable()
        with _mapped():
            if run is None:
                return await self._copies.load(id)
            # Who asks may have seen, on another process, what has not come here yet.
            await self._copies.catch_up(run)
            return run

    async def find_live(self, feed: Feed, params: Mapping[str, Any], *, caller: str) -> Run | None:
        """Return the live run that such a request joins, if there is one."""
        key = share_key(feed, params, caller)
        if key is None:
            return None
        await self._check_reachable()
        with _mapped():
            id = await self._process.reads.call("GET", share_name(key))
        run = await self.find(id.decode()) if id else None
        return None if run is None or run.is_stopping else run

    # ----------------------------------------------------------------- following

    def receive_viewers(self, run: Run, *, has_viewers: bool) -> None:
        """See `Elsewhere`, as for the next two."""
        if has_viewers:
            self._copies.hold(run)
        else:
            self._copies.let_go(run)
        self._owners.tell_viewers(run.id, has_viewers=has_viewers)

    def tell_expected(self, run: Run) -> None:
        """Say that somebody has been told of the run, and may come."""
        self._owners.tell_expected(run.id)

    def request_stop(self, run: Run, reason: str) -> None:
        """Ask for the run's end, and keep it until that has come."""
        self._copies.hold(run)
        self._unshare(run)
        self._owners.request_stop(run.id, reason)

    def _receive_message(self, channel: str, text: str) -> None:
        if channel == ORPHANS:
            self._process.lease.hurry()
        elif channel == inbox_channel(self._process.id):
            word, id, *rest = text.split(" ")
            match word:
                case "viewers":
                    self._owned.count(id)
                case "expected":
                    self._owned.expect_viewer(id)
                case "stop":
                    self._owned.stop(id, *rest)
        else:
            self._process.reader.wake(channel.partition("{")[2].partition("}")[0])

    # ------------------------------------------------------------------ starting

    async def start(
        self, feed: Feed, params: Mapping[str, Any], *, caller: str
    ) -> tuple[Run, bool]:
        """Start a run, or join one that was started meanwhile."""
        calls = feed.build_calls(params)
        self._table.make_place()
        await self._check_reachable()
        id = make_run_id(self._random_bytes(RUN_ID_BYTES))
        start = codec.encode_again(start_data(id, feed, params))
        if self._table.budget.lacking(len(start)) > 0:
            raise LogsFull(self._log.max_bytes, retry_after=RETRY_AFTER)
        key = share_key(feed, params, caller)
        with _mapped():
            other = await self._new.make(
                id, feed, start, caller=caller, share=share_name(key) if key else None
            )
        if other is not None:
            return other, True
        try:
            # Others may have taken it meanwhile.
            self._table.make_place()
        except TooManyRuns:
            self._new.take_back(id, share=share_name(key) if key else None)
            raise
        log = self._copies.make_log(id)
        log.take("start", [start])
        run = self._copies.make(id, feed=feed, params=params, caller=caller, log=log)
        self._table.add(run)
        owned = self._owned.take(id, log, token=1, keep=feed.keep)
        owned.execution = Execution(
            id,
            feed=feed,
            calls=calls,
            log=owned.writer,
            outgoing=self._outgoing,
            on_stopping=partial(self._unshare, run),
        )
        run.execute_by(owned.execution)
        return run, False

    # -------------------------------------------------------------------- ending

    def _receive_end(self, run: Run) -> None:
        """Let go of a run that has ended, wherever it was executed."""
        self._owners.receive_end(run.id)
        self._copies.unfollow(run)
        if self._owned.drop(run.id) is not None:
            self._unshare(run)
        if self._table.find(run.id) is run:
            self._table.let_go(run, after=run.feed.keep)

    def _unshare(self, run: Run) -> None:
        key = share_key(run.feed, run.params, run.caller)
        if key is not None:
            self._new.unshare(share_name(key), run.id)

    def _receive_lost(self, id: str, is_gone: bool) -> None:
        """Execute a run no more: another process does, or it is gone."""
        logger.warning("run=%s %s", id[:8], "is gone from redis" if is_gone else "was taken over")
        owned = self._owned.drop(id)
        if owned is not None and owned.execution is not None:
            owned.execution.halt()
        run = self._table.find(id)
        if run is None:
            self._discard_unknown(id)
            return
        if is_gone:
            write_lost(run.log, read_progress(run.log))
        else:
            self._copies.follow(run)

    def begin_drain(self) -> None:
        """Take nothing over any more."""
        self._takeover.end()

    async def wait_idle(self) -> None:
        """Wait until this process executes no run."""
        await self._owned.wait_idle()

    async def end_all(self) -> None:
        """Hand all runs over: others go on with them, as soon as there are any."""
        self.begin_drain()
        with suppress(LinkDown, TimeoutError):
            async with asyncio.timeout(FLUSH_TIMEOUT):
                await self._new.drop_unused()
        await self._owned.hand_over(within=FLUSH_TIMEOUT)

    async def aclose(self) -> None:
        """Let go of everything."""
        self._table.forget_going()
        await self._process.aclose()

    # ------------------------------------------------------------------- the sweep

    async def _sweep(self) -> None:
        """Look for what was not heard: after each gap, and now and then."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_INTERVAL):
                    await self._gap.wait()
            # A look at a thousand at once would have all that is under way wait for it.
            pause = 0.0 if self._gap.is_set() else SWEEP_PAUSE
            self._gap.clear()
            with suppress(LinkDown):
                await self._new.drop_unused()
                await self._owned.check(together=SWEPT_TOGETHER, pause=pause)
                await self._check_followed(pause=pause)
                self._owners.tell_unheard()
                self._takeover.try_again()

    async def _check_followed(self, *, pause: float) -> None:
        runs = [run for run in self._table.all() if self._is_followed(run)]
        for n in range(0, len(runs), SWEPT_TOGETHER):
            await self._check_some_followed(runs[n : n + SWEPT_TOGETHER])
            await asyncio.sleep(pause)

    async def _check_some_followed(self, runs: list[Run]) -> None:
        there = await self._copies.check(runs)
        for run, is_there in zip(runs, there, strict=True):
            if not is_there and self._is_followed(run):
                write_lost(run.log, read_progress(run.log))
        self._owners.tell_viewers_again(filter(self._is_followed, runs))

    def _is_followed(self, run: Run) -> bool:
        return not run.is_ended and run.id not in self._owned

    # ---------------------------------------------------------------- taking over

    def _receive_dead(self, dead: Mapping[str, int]) -> None:
        self._takeover.receive_dead(dead)

    async def _go_on(self, claim: Claim) -> None:
        """Execute a run that another process has executed, or end it as lost."""
        id, feed = claim.id, claim.feed
        run = self._table.find(id) or claim.run
        log = self._copies.make_log(id) if run is None else run.log
        await self._copies.catch_up_surely(id, log)
        if log.is_ended:
            return
        # Before anybody here leaves, and is taken for the last one.
        viewing = await self._viewing_surely(id)
        progress = read_progress(log)
        owned = self._owned.take(id, log, token=claim.token, keep=run.feed.keep if run else 0.0)
        if run is None:
            # Nobody here can ask for it, as there is no such feed.
            self._unknown[id] = log
            log.on_end = lambda: self._discard_unknown(id)
            write_lost(owned.writer, progress)
            return
        self._copies.hold(run)
        self._copies.unfollow(run)
        # Its viewers here are counted here.
        self._owners.tell_viewers(id, has_viewers=False)
        try:
            calls = feed.build_calls(run.params) if feed else None
        except InvalidParameter:
            calls = None
        if feed is None or calls is None:
            write_lost(owned.writer, progress)
            return
        owned.execution = Execution(
            id,
            feed=feed,
            calls=calls,
            log=owned.writer,
            outgoing=self._outgoing,
            progress=progress.at(claim.age),
            on_stopping=partial(self._unshare, run),
        )
        run.execute_by(owned.execution)
        self._owned.receive_viewing(id, viewing)
        if claim.stop:
            owned.execution.stop(claim.stop)

    async def _viewing_surely(self, id: str) -> set[str]:
        while True:
            try:
                (viewing,) = await self._owned.viewing([id])
            except LinkDown:
                await asyncio.sleep(RETRY_WAIT)
            else:
                return viewing

    def _discard_unknown(self, id: str) -> None:
        self._owned.drop(id)
        if log := self._unknown.pop(id, None):
            log.discard()


@contextmanager
def _mapped() -> Iterator[None]:
    """Tell a request that Redis was not reached."""
    try:
        yield
    except LinkDown as exc:
        raise LogUnreachable(retry_after=RETRY_AFTER) from exc
