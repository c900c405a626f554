"""One timer of the loop for all that waits until a time: beats, the patience of upstream calls.

Most times of this kind are moved on long before they come: a beat with each write, an upstream's
patience with each piece. A timer of the loop would be made and cancelled for each move; here a move
is an assignment. An alarm that was moved on is looked at once at its old time, and then waits on.
"""

import asyncio
import contextvars
import heapq
import math
from collections.abc import Callable
from time import monotonic

TICKS_PER_SECOND = 64
"""Alarms are rung in ticks of this many to the second, so by as much late at most, never early."""

_MAX_WAIT = 86400.0  # seconds; what every loop takes


def _ring_nothing() -> None:
    pass


class Alarm:
    """Calls a function at a time, which may be moved as often as wanted.

    Args:
        alarms: The alarms of the loop that it is used on.
        ring: Called on the loop once the time has come.
    """

    __slots__ = ("_alarms", "due", "is_hastened", "ring", "tick")

    def __init__(self, alarms: "Alarms", ring: Callable[[], object]) -> None:
        self.due: float | None = None
        self.ring = ring
        self.tick: int | None = None
        self.is_hastened = False
        self._alarms = alarms

    def set(self, when: float) -> None:
        """Have it ring at a time, by `time.monotonic`, and at no other that was set before."""
        self.due = when
        if self.tick is None or when * TICKS_PER_SECOND < self.tick - 1:
            self._alarms.place(self, when)

    def hasten(self) -> None:
        """Have it ring in the loop's next turn, once, with all others that are hastened by then."""
        if not self.is_hastened:
            self.is_hastened = True
            self._alarms.hasten(self)

    def close(self) -> None:
        """Have it never ring again, and hold nothing."""
        self.due = None
        self._alarms.discard(self)
        self.ring = _ring_nothing


class Alarms:
    """The alarms of one loop. Made and used on it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._by_tick: dict[int, set[Alarm]] = {}
        # A heap of the keys above.
        self._ticks: list[int] = []
        self._placed = 0
        self._timer: asyncio.TimerHandle | None = None
        self._hastened: list[Alarm] = []
        self._afterwards: list[Callable[[], object]] = []
        # A timer would hold the context of whoever set the first alarm.
        self._context = contextvars.Context()

    def make(self, ring: Callable[[], object]) -> Alarm:
        """Make an alarm that is not set."""
        return Alarm(self, ring)

    def place(self, alarm: Alarm, when: float) -> None:
        """Look at an alarm at a time, and no more at the one before."""
        self.discard(alarm)
        tick = math.ceil(min(when, monotonic() + _MAX_WAIT) * TICKS_PER_SECOND)
        alarm.tick = tick
        self._placed += 1
        at_tick = self._by_tick.get(tick)
        if at_tick is not None:
            at_tick.add(alarm)
            return
        self._by_tick[tick] = {alarm}
        heapq.heappush(self._ticks, tick)
        if self._ticks[0] == tick:
            self._wait()

    def discard(self, alarm: Alarm) -> None:
        """Look at an alarm no more."""
        if alarm.tick is None:
            return
        # The tick stays, though it may be empty now: each is in the heap once, until its time.
        self._by_tick[alarm.tick].discard(alarm)
        alarm.tick = None
        self._placed -= 1
        if not self._placed:
            self._by_tick.clear()
            self._ticks.clear()
            self._stop_waiting()

    def hasten(self, alarm: Alarm) -> None:
        """Ring an alarm in the loop's next turn."""
        if not self._hastened and not self._afterwards:
            self._loop.call_soon(self._ring_hastened, context=self._context)
        self._hastened.append(alarm)

    def call_after(self, function: Callable[[], object]) -> None:
        """Call a function once all alarms that are hastened have rung; for these to call."""
        if not self._hastened and not self._afterwards:
            self._loop.call_soon(self._ring_hastened, context=self._context)
        self._afterwards.append(function)

    def _ring_hastened(self) -> None:
        hastened, self._hastened = self._hastened, []
        for alarm in hastened:
            alarm.is_hastened = False
            try:
                alarm.ring()
            except Exception as exc:  # noqa: BLE001 - as below
                self._report(exc)
        afterwards, self._afterwards = self._afterwards, []
        for function in afterwards:
            try:
                function()
            except Exception as exc:  # noqa: BLE001 - as below
                self._report(exc)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._stop_waiting()
        delay = self._ticks[0] / TICKS_PER_SECOND - monotonic()
        self._timer = self._loop.call_later(max(0.0, delay), self._ring, context=self._context)

    def _ring(self) -> None:
        self._timer = None
        now = monotonic()
        while self._ticks and self._ticks[0] <= now * TICKS_PER_SECOND:
            at_tick = self._by_tick.pop(heapq.heappop(self._ticks))
            self._placed -= len(at_tick)
            for alarm in at_tick:
                alarm.tick = None
            for alarm in at_tick:
                self._look(alarm, now)
        if self._placed:
            self._wait()

    def _look(self, alarm: Alarm, now: float) -> None:
        if alarm.due is None or alarm.tick is not None:
            return
        if alarm.due > now:
            self.place(alarm, alarm.due)
        else:
            alarm.due = None
            try:
                alarm.ring()
            except Exception as exc:  # noqa: BLE001 - as a loop does for its callbacks
                self._report(exc)

    def _report(self, exc: Exception) -> None:
        """Say what somebody's own function raised, which must not keep others from being called."""
        context = {"message": "an alarm could not ring", "exception": exc}
        self._loop.call_exception_handler(context)
