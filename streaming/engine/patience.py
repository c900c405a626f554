"""How long a task waits for each of the things that it expects of one upstream."""

import asyncio
import time
from types import TracebackType

from streaming.core.errors_upstream import TimedOut
from streaming.engine.alarms import Alarms


class Patience:
    """Cancels what the running task waits for once it has taken too long.

    As `asyncio.timeout` does it, cancellations from elsewhere pass. It may be entered again.

    Args:
        alarms: Those of the loop.

    Raises:
        TimedOut: At the end of the block, if what was expected has not come in time.
    """

    __slots__ = ("_alarm", "_alarms", "_cancelling", "_is_over", "_task", "_waiting_for", "_within")

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._waiting_for = ""
        self._within = 0.0

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("patience is a task's")
        self._task = task
        self._cancelling = task.cancelling()
        self._is_over = False
        self._alarm = self._alarms.make(self._run_out)

    def expect(self, what: str, *, within: float) -> None:
        """Say what is waited for from now on, and for how many seconds."""
        self._waiting_for, self._within = what, within
        self._alarm.set(time.monotonic() + within)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._alarm.close()
        if not self._is_over:
            return
        is_ours = self._task.uncancel() <= self._cancelling
        if is_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimedOut(self._waiting_for, self._within) from exc

    def _run_out(self) -> None:
        self._is_over = True
        self._task.cancel()
