"""The runs of one process: live ones, and ended ones that can still be replayed."""

from collections.abc import Callable, Mapping
from typing import Any

from streaming.core.errors_request import LogsFull
from streaming.core.feed import Feed
from streaming.core.ident import RUN_ID_BYTES, make_run_id
from streaming.core.settings import LogSettings
from streaming.engine.execution import Execution, start_data
from streaming.engine.log_memory import LogFull, MemoryLog
from streaming.engine.run import Run
from streaming.engine.run_table import RETRY_AFTER, RunTable
from streaming.engine.runs import ShareKey, share_key
from streaming.engine.upstream_call import Outgoing


class MemoryRuns:
    """All runs of a process; see `streaming.engine.runs.Runs`.

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
        self._log = log
        self._random_bytes = random_bytes
        self._table = RunTable(alarms=outgoing.alarms, max_runs=max_runs, max_bytes=log.max_bytes)
        self._live_by_key: dict[ShareKey, Run] = {}

    async def is_reachable(self) -> bool:
        """See `Runs`, as for the others."""
        return True

    async def find(self, id: str) -> Run | None:
        """Return a run that is live or kept."""
        return self._table.find(id)

    async def find_live(self, feed: Feed, params: Mapping[str, Any], *, caller: str) -> Run | None:
        """Return the live run that such a request joins, if there is one."""
        key = share_key(feed, params, caller)
        run = self._live_by_key.get(key) if key else None
        return None if run is None or run.is_stopping else run

    async def start(
        self, feed: Feed, params: Mapping[str, Any], *, caller: str
    ) -> tuple[Run, bool]:
        """Start a run."""
        calls = feed.build_calls(params)
        self._table.make_place()
        id = make_run_id(self._random_bytes(RUN_ID_BYTES))
        log = MemoryLog(
            id,
            budget=self._table.budget,
            max_events=self._log.max_events,
            max_bytes=self._log.max_log_bytes,
        )
        try:
            log.append("start", start_data(id, feed, params))
        except LogFull as exc:
            raise LogsFull(self._log.max_bytes, retry_after=RETRY_AFTER) from exc
        run = Run(id, feed=feed, params=params, caller=caller, log=log, on_end=self._receive_end)
        run.execute_by(Execution(id, feed=feed, calls=calls, log=log, outgoing=self._outgoing))
        self._table.add(run)
        if key := share_key(feed, params, caller):
            self._live_by_key[key] = run
        return run, False

    def begin_drain(self) -> None:
        """There is nobody to take anything over from."""

    async def wait_idle(self) -> None:
        """Wait until no run is live."""
        for run in self._table.all():
            await run.wait_ended()

    async def end_all(self) -> None:
        """End all live runs, as there is nobody to hand them over to."""
        live = [run for run in self._table.all() if not run.is_ended]
        for run in live:
            run.stop("shutdown")
        for run in live:
            await run.wait_ended()

    async def aclose(self) -> None:
        """Drop all ended runs."""
        self._table.forget_going()

    def _receive_end(self, run: Run) -> None:
        key = share_key(run.feed, run.params, run.caller)
        # Another may have taken its place since it was stopped.
        if key and self._live_by_key.get(key) is run:
            del self._live_by_key[key]
        self._table.let_go(run, after=run.feed.keep)
