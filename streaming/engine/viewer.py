"""A viewer: one open response, stepping its body as its log grows.

A viewer is made on the engine's loop. Its body is then stepped by one driver: `drive` here, in a
coroutine, or the bridge, in a thread. Whichever it is, the viewer is closed exactly once, and from
then on nothing holds it.
"""

import asyncio
import contextlib
import logging
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import Protocol

from streaming.core.body import Body, ShutdownReason, Step
from streaming.engine.alarms import Alarms

logger = logging.getLogger("fanstream")

START_TIMEOUT = 30.0
"""Seconds from when a response has its body until that is begun, in which a framework calls what an
application has put behind its views; then the viewer is closed."""


class WakingLog(Protocol):
    """What a viewer needs of a log beside reading it."""

    def add_wake(self, wake: Callable[[], None]) -> None:
        """Have `wake` called on the loop after each append, until it is removed."""
        ...

    def remove_wake(self, wake: Callable[[], None]) -> None:
        """Take back `add_wake`: its viewer has gone."""
        ...

    def replace_wake(self, wake: Callable[[], None], by: Callable[[], None]) -> None:
        """Have another called in its place."""
        ...


def do_nothing() -> None:
    """Do nothing, where nobody has said yet what is to be done."""


class Viewer:
    """One open response.

    Args:
        body: What is stepped.
        log: What wakes it.
        alarms: Those of the loop.
    """

    def __init__(self, body: Body, *, log: WakingLog, alarms: Alarms) -> None:
        self.writing_since: float | None = None
        """When the write that goes on now began, by `time.monotonic`; set by the driver."""
        self.abort: Callable[[], object] = do_nothing
        """Breaks the response off where its client takes nothing any more; set by who can."""
        self._body = body
        self._log = log
        self._is_gone = False
        self._is_closed = False
        self._is_begun = False
        self._begin_by = time.monotonic() + START_TIMEOUT
        self._loop = asyncio.get_running_loop()
        self._wake: Callable[[], None] = do_nothing
        self._ring: Callable[[], None] = do_nothing
        self._alarms = alarms
        self._alarm = alarms.make(self._receive_alarm)
        self._alarm.set(self._begin_by)
        self._closers: list[Callable[[], object]] = [partial(log.remove_wake, self.wake)]
        log.add_wake(self.wake)

    def step(self, now: float) -> Step:
        """Step the body; it has ended where the client has gone."""
        self._is_begun = True
        return None if self._is_gone else self._body.step(now)

    def rest_until(self) -> float | None:
        """See `streaming.core.body.Body`; None where the client has gone."""
        return None if self._is_gone else self._body.rest_until()

    def await_body(self) -> None:
        """Wait for as long as it takes, until `expect_begin`: a view is called that makes a body.

        Who calls it must not lose the viewer. From any thread, as `expect_begin`.
        """
        self._begin_by = float("inf")

    def expect_begin(self) -> None:
        """Have the viewer closed unless its body is begun within `START_TIMEOUT` from now."""
        self._begin_by = time.monotonic() + START_TIMEOUT

    def set_wake(self, wake: Callable[[], None], *, is_shared: bool = False) -> None:
        """Have the driver woken by this. It steps once after this call, which may come late.

        Args:
            wake: Called on the loop.
            is_shared: Have it called in the loop's next turn, once for all that happened until
                then, and with those of other viewers.
        """
        self._ring = self._wake = wake
        if is_shared:
            # The shortest ways between the log, the turn that is shared and who steps the body,
            # which has been begun by now.
            hasten = self._wake = self._alarm.hasten
            self._alarm.ring = wake
            if not self._is_closed:
                self._log.replace_wake(self.wake, hasten)
                self.on_close(partial(self._log.remove_wake, hasten))

    def on_close(self, closer: Callable[[], object]) -> None:
        """Have this called once, on the loop, when the viewer is closed; at once if it is."""
        if self._is_closed:
            closer()
        else:
            self._closers.append(closer)

    def wake(self) -> None:
        """Have the driver step the body again. Called on the loop, as the next four."""
        self._wake()

    def hasten_beat(self) -> None:
        """Have a beat written now, which a client that has gone answers with a reset."""
        self._body.hasten_beat()
        self._wake()

    def call_together(self, function: Callable[[], None]) -> None:
        """Have this called after the wakes of this turn, which are shared, with those of others."""
        self._alarms.call_after(function)

    def wake_at(self, when: float) -> None:
        """Have the driver step the body again at a time, by `time.monotonic`, at the latest."""
        self._alarm.set(when)

    def shut_down(self, reason: ShutdownReason) -> None:
        """Have the stream end, telling its client when to come back."""
        self._body.shut_down(reason)
        self._wake()

    def receive_gone(self) -> None:
        """End the stream without a word: its client has gone."""
        self._is_gone = True
        self._wake()

    def close(self) -> None:
        """Close the viewer, from any thread; harmless when it is closed, or its loop is."""
        if not self._is_closed:
            # A loop that has been closed has let go of all that the viewer held.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.close_on_loop)

    def close_on_loop(self) -> None:
        """Close the viewer, on its loop; harmless when it is closed."""
        self._is_closed = True
        # Whoever still waits has a step to make, such as to say that the process ends.
        self._ring()
        self._alarm.close()
        while self._closers:
            self._closers.pop()()
        # They may hold the driver, which holds the viewer: they would wait for the collector.
        self._wake = self._ring = self.abort = do_nothing

    def _receive_alarm(self) -> None:
        """Step again, or close a viewer whose driver never came, though it was not dropped either.

        An error between the reply and its body may hold both in a cycle: in Flask, its traceback
        does, until the garbage collector comes by.
        """
        if self._is_begun:
            self._ring()
        elif (now := time.monotonic()) < self._begin_by:
            self._alarm.set(min(self._begin_by, now + START_TIMEOUT))
        else:
            logger.info("stream closed: its body was not begun for %g s", START_TIMEOUT)
            self._is_gone = True
            self.close_on_loop()


def close_when_dropped(pieces: object, viewer: Viewer) -> None:
    """Close the viewer at the latest when its generator is dropped, or was not begun for a time.

    One that was never started runs no `finally` when it is closed: a HEAD, an error or a client
    that leaves before the first piece would keep the viewer for ever.
    """
    viewer.expect_begin()
    finalizer = weakref.finalize(pieces, viewer.close)
    finalizer.atexit = False
    # It holds the viewer, and whatever that holds may hold the generator: neither would ever go.
    viewer.on_close(finalizer.detach)
