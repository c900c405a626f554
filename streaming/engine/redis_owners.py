"""What a process tells the owners of the runs that it follows: viewers that come and go, stops."""

import asyncio
from collections.abc import Iterable
from typing import Any

from streaming.engine.redis_keys import meta_key, viewers_key
from streaming.engine.redis_process import RedisProcess
from streaming.engine.redis_scripts import STOP, TELL, VIEW
from streaming.engine.run import Run

STOP_INTERVAL = 1.0
"""Seconds until an owner is asked once more to end a run."""


class RedisOwners:
    """The owners of runs, in other processes.

    Args:
        process: This process.
    """

    def __init__(self, process: RedisProcess) -> None:
        self._process = process
        self._stopping: dict[str, str] = {}
        # What could not be said, and is said again by and by.
        self._unheard: set[str] = set()

    def tell_viewers(self, run: str, *, has_viewers: bool) -> None:
        """Say whether there are viewers of a run here."""

        def receive(reply: "asyncio.Future[Any]") -> None:
            if not reply.cancelled() and reply.exception() is not None:
                self._unheard.add(run)

        keys = [meta_key(run), viewers_key(run)]
        reply = self._process.writes.run_script(VIEW, keys, self._process.id, int(has_viewers), run)
        reply.add_done_callback(receive)

    def tell_viewers_again(self, runs: Iterable[Run]) -> None:
        """Say so once more of those of these runs that have viewers."""
        for run in runs:
            if run.viewers:
                self._unheard.discard(run.id)
                self.tell_viewers(run.id, has_viewers=True)

    def tell_unheard(self) -> None:
        """Say once more what was not heard: that there are no viewers any more.

        Of runs that are not even here any more, too; those with viewers are told of as ever.
        """
        unheard, self._unheard = self._unheard, set()
        for id in unheard:
            self.tell_viewers(id, has_viewers=False)

    def tell_expected(self, run: str) -> None:
        """Say that somebody has been told of a run, and may come."""
        self._process.writes.run_script(TELL, [meta_key(run)], f"expected {run}")

    def request_stop(self, run: str, reason: str) -> None:
        """Ask for a run's end, until `receive_end`."""
        self._stopping[run] = reason
        self._ask_to_stop(run, reason)

    def receive_end(self, run: str) -> None:
        """Ask no more for the end of a run."""
        self._stopping.pop(run, None)

    async def run(self) -> None:
        """Ask once more for what has not come, until this is cancelled."""
        while True:
            await asyncio.sleep(STOP_INTERVAL)
            for run, reason in self._stopping.items():
                self._ask_to_stop(run, reason)

    def _ask_to_stop(self, run: str, reason: str) -> None:
        def receive(reply: "asyncio.Future[Any]") -> None:
            is_gone = not reply.cancelled() and reply.exception() is None and not reply.result()
            if is_gone:
                self._stopping.pop(run, None)

        asked = self._process.writes.run_script(STOP, [meta_key(run)], run, reason)
        asked.add_done_callback(receive)
