"""The runs that a process holds, and which of them go first when a bound is reached.

How many (`max_runs`), and how many bytes of events (`[log] max_bytes`).
"""

from collections.abc import Callable
from functools import partial
from time import monotonic

from streaming.core.errors_request import TooManyRuns
from streaming.engine.alarms import Alarm, Alarms
from streaming.engine.log_memory import LogBudget
from streaming.engine.run import Run

RETRY_AFTER = 5
"""Seconds that a client is told to wait where there is no room for its run."""


class RunTable:
    """All runs of a process: those that have to stay, and those that may go.

    Args:
        alarms: Those of the loop.
        max_runs: Runs; those that may go do so first, the oldest first.
        max_bytes: Bytes of their logs; likewise.
        on_forget: Called with each run that goes.
    """

    def __init__(
        self,
        *,
        alarms: Alarms,
        max_runs: int,
        max_bytes: int,
        on_forget: Callable[[Run], None] = lambda run: None,
    ) -> None:
        self.budget = LogBudget(max_bytes=max_bytes, make_room=self._make_room)
        self._alarms = alarms
        self._max_runs = max_runs
        self._max_bytes = max_bytes
        self._on_forget = on_forget
        self._by_id: dict[str, Run] = {}
        # In the order in which they were let go; the values forget them in time.
        self._going: dict[str, Alarm] = {}

    def find(self, id: str) -> Run | None:
        """Return a run that is here."""
        return self._by_id.get(id)

    def all(self) -> list[Run]:
        """Return the runs that are here now."""
        return list(self._by_id.values())

    def make_place(self) -> None:
        """See that one more run has a place.

        Raises:
            TooManyRuns: None may go.
        """
        while len(self._by_id) >= self._max_runs:
            if not self._forget_oldest():
                raise TooManyRuns(self._max_runs, retry_after=RETRY_AFTER)

    def add(self, run: Run) -> None:
        """Take a run in, to stay until it is let go."""
        self._by_id[run.id] = run

    def let_go(self, run: Run, *, after: float) -> None:
        """Forget a run after so many seconds, or before, where another needs its place."""
        if self._by_id.get(run.id) is not run:
            return  # it was forgotten, and may be here anew
        self.hold(run)
        alarm = self._alarms.make(partial(self.forget, run.id))
        alarm.set(monotonic() + after)
        self._going[run.id] = alarm

    def hold(self, run: Run) -> None:
        """Have a run stay that was let go; harmless where it was not."""
        if alarm := self._going.pop(run.id, None):
            alarm.close()

    def forget(self, id: str) -> None:
        """Forget a run now."""
        if alarm := self._going.pop(id, None):
            alarm.close()
        run = self._by_id.pop(id)
        run.log.discard()
        self._on_forget(run)

    def forget_going(self) -> None:
        """Forget all that were let go."""
        for id in list(self._going):
            self.forget(id)

    def _forget_oldest(self) -> bool:
        oldest = next(iter(self._going), None)
        if oldest is None:
            return False
        self.forget(oldest)
        return True

    def _make_room(self, size: int) -> None:
        while self.budget.used + size > self._max_bytes and self._forget_oldest():
            pass
