"""The runs that a process holds: live ones, and ended ones that can still be replayed.

Who is joined, who may resume, how long an ended run is kept and which go first when a bound is
reached (`max_runs`, `[log] max_bytes`) is decided here.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from streaming.core import codec
from streaming.core.call import build_call
from streaming.core.errors_request import LogsFull, TooManyRuns
from streaming.core.feed import Feed
from streaming.core.ident import RUN_ID_BYTES, make_run_id
from streaming.core.settings import LogSettings
from streaming.engine.log_memory import LogBudget, LogFull, MemoryLog
from streaming.engine.run import Run
from streaming.engine.upstream_call import Outgoing

RETRY_AFTER = 5
"""Seconds that a client is told to wait where there is no room for its run."""

ShareKey = tuple[str, bytes, str | None]


class Runs:
    """All runs of a process.

    Args:
        outgoing: What carries their calls.
        max_runs: Live and kept ones together; the oldest ended ones go first, and where all are
            live no further one starts.
        log: The bounds of their logs.
        random_bytes: Gives so many unguessable bytes.
    """

    def __init__(
        self,
        *,
        outgoing: Outgoing,
        max_runs: int,
        log: LogSettings,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._outgoing = outgoing
        self._max_runs = max_runs
        self._log = log
        self._random_bytes = random_bytes
        self._by_id: dict[str, Run] = {}
        self._live_by_key: dict[ShareKey, Run] = {}
        # In the order in which they ended; the values forget them in time.
        self._ended: dict[str, asyncio.TimerHandle] = {}
        self._budget = LogBudget(max_bytes=log.max_bytes, make_room=self._make_room)

    def find(self, id: str) -> Run | None:
        """Return a run that is live or kept."""
        return self._by_id.get(id)

    def find_live(self, feed: Feed, params: Mapping[str, Any], *, caller: str) -> Run | None:
        """Return the live run that such a request joins, if there is one."""
        key = _share_key(feed, params, caller)
        run = self._live_by_key.get(key) if key else None
        return None if run is None or run.is_stopping else run

    def start(self, feed: Feed, params: Mapping[str, Any], *, caller: str) -> Run:
        """Start a run.

        Raises:
            InvalidParameter: A value that a template of an upstream refuses.
            TooManyRuns: All of `max_runs` are live.
            LogsFull: Live runs hold all bytes of logs: there is not even room for a `start`.
        """
        calls = {name: build_call(up, params) for name, up in feed.upstreams.items()}
        self._make_place()
        id = make_run_id(self._random_bytes(RUN_ID_BYTES))
        log = MemoryLog(
            id,
            budget=self._budget,
            max_events=self._log.max_events,
            max_bytes=self._log.max_log_bytes,
        )
        try:
            run = Run(
                id,
                feed=feed,
                params=params,
                caller=caller,
                calls=calls,
                log=log,
                outgoing=self._outgoing,
                on_end=self._receive_end,
            )
        except LogFull as exc:
            raise LogsFull(self._log.max_bytes, retry_after=RETRY_AFTER) from exc
        self._by_id[id] = run
        if key := _share_key(feed, params, caller):
            self._live_by_key[key] = run
        return run

    async def end_all(self, reason: str) -> None:
        """End all live runs, and wait until each has said its last word."""
        live = [run for run in self._by_id.values() if not run.is_ended]
        for run in live:
            run.stop(reason)
        for run in live:
            await run.wait_ended()

    async def wait_idle(self) -> None:
        """Wait until no run is live."""
        for run in list(self._by_id.values()):
            await run.wait_ended()

    def forget_all(self) -> None:
        """Drop all ended runs."""
        for id in list(self._ended):
            self._forget(id)

    def _receive_end(self, run: Run) -> None:
        key = _share_key(run.feed, run.params, run.caller)
        # Another may have taken its place since it was stopped.
        if key and self._live_by_key.get(key) is run:
            del self._live_by_key[key]
        loop = asyncio.get_running_loop()
        self._ended[run.id] = loop.call_later(run.feed.keep, self._forget, run.id)

    def _forget(self, id: str) -> None:
        self._ended.pop(id).cancel()
        self._by_id.pop(id).log.discard()

    def _forget_oldest(self) -> bool:
        oldest = next(iter(self._ended), None)
        if oldest is None:
            return False
        self._forget(oldest)
        return True

    def _make_place(self) -> None:
        while len(self._by_id) >= self._max_runs:
            if not self._forget_oldest():
                raise TooManyRuns(self._max_runs, retry_after=RETRY_AFTER)

    def _make_room(self, size: int) -> None:
        while self._budget.used + size > self._log.max_bytes and self._forget_oldest():
            pass


def _share_key(feed: Feed, params: Mapping[str, Any], caller: str) -> ShareKey | None:
    """Return what two requests must have in common to see the same run; None: they never do.

    As JSON, since 1, 1.0 and true are equal in Python, and so are 0.0 and -0.0.
    """
    if not feed.share:
        return None
    return feed.name, codec.encode(params), None if feed.share == "all" else caller
