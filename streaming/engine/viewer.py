"""A viewer: one open response, stepping its body as its log grows.

A viewer is made on the engine's loop. Its body is then stepped by one driver: `drive` here, in a
coroutine, or the bridge, in a thread. Whichever it is, the viewer is closed exactly once, and from
then on nothing holds it.
"""

import asyncio
import contextlib
import contextvars
import logging
import time
import weakref
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from streaming.core.body import Body, ShutdownReason, Step

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
        """Take back `add_wake`."""
        ...


def do_nothing() -> None:
    """Do nothing, where nobody has said yet what is to be done."""


class Viewer:
    """One open response.

    Args:
        body: What is stepped.
        log: What wakes it.
    """

    def __init__(self, body: Body, *, log: WakingLog) -> None:
        self.writing_since: float | None = None
        """When the write that goes on now began, by `time.monotonic`; set by the driver."""
        self.abort: Callable[[], object] = do_nothing
        """Breaks the response off where its client takes nothing any more; set by who can."""
        self._body = body
        self._is_gone = False
        self._is_closed = False
        self._is_begun = False
        self._begin_by = time.monotonic() + START_TIMEOUT
        self._loop = asyncio.get_running_loop()
        self._wake: Callable[[], None] = do_nothing
        self._starting = self._look_later(START_TIMEOUT)
        self._closers: list[Callable[[], object]] = [lambda: log.remove_wake(self.wake)]
        log.add_wake(self.wake)

    def step(self, now: float) -> Step:
        """Step the body; it has ended where the client has gone."""
        self._is_begun = True
        return None if self._is_gone else self._body.step(now)

    def await_body(self) -> None:
        """Wait for as long as it takes, until `expect_begin`: a view is called that makes a body.

        Who calls it must not lose the viewer. From any thread, as `expect_begin`.
        """
        self._begin_by = float("inf")

    def expect_begin(self) -> None:
        """Have the viewer closed unless its body is begun within `START_TIMEOUT` from now."""
        self._begin_by = time.monotonic() + START_TIMEOUT

    def set_wake(self, wake: Callable[[], None]) -> None:
        """Have the driver woken by this. It steps once after this call, which may come late."""
        self._wake = wake

    def on_close(self, closer: Callable[[], object]) -> None:
        """Have this called once, on the loop, when the viewer is closed; at once if it is."""
        if self._is_closed:
            closer()
        else:
            self._closers.append(closer)

    def wake(self) -> None:
        """Have the driver step the body again. Called on the loop, as the next three."""
        self._wake()

    def hasten_beat(self) -> None:
        """Have a beat written now, which a client that has gone answers with a reset."""
        self._body.hasten_beat()
        self._wake()

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
        self._starting.cancel()
        while self._closers:
            self._closers.pop()()

    def _look_later(self, delay: float) -> asyncio.TimerHandle:
        # In a context of its own: the loop keeps a timer, and so its context, after its cancelling.
        look = self._close_unless_begun
        return self._loop.call_later(delay, look, context=contextvars.Context())

    def _close_unless_begun(self) -> None:
        """Close a viewer whose driver never came, though it was not dropped either.

        An error between the reply and its body may hold both in a cycle: in Flask, its traceback
        does, until the garbage collector comes by.
        """
        if self._is_begun:
            return
        if (left := self._begin_by - time.monotonic()) > 0:
            self._starting = self._look_later(min(left, START_TIMEOUT))
            return
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


def drive(
    viewer: Viewer, *, abort: Callable[[], object] | None = None
) -> AsyncGenerator[bytes, None]:
    """Step a viewer's body in the running task, and close it at the end, however that comes.

    Args:
        viewer: The viewer.
        abort: Breaks its connection off; returns False where it cannot. Then, and where there is
            none, the task is cancelled, and the server closes the connection when the client has
            taken what was written.
    """
    pieces = _drive(viewer, abort)
    close_when_dropped(pieces, viewer)
    return pieces


async def _drive(viewer: Viewer, abort: Callable[[], object] | None) -> AsyncGenerator[bytes, None]:
    waiting = _Waiting()
    viewer.set_wake(waiting.wake)
    viewer.abort = _abort_or_cancel(abort)
    try:
        while (step := viewer.step(time.monotonic())) is not None:
            if isinstance(step, bytes):
                viewer.writing_since = time.monotonic()
                yield step
                viewer.writing_since = None
                # A log that always has more must not keep the loop from all others.
                await asyncio.sleep(0)
            else:
                await waiting.wait_until(step)
    finally:
        viewer.close_on_loop()


def _abort_or_cancel(abort: Callable[[], object] | None) -> Callable[[], object]:
    cancel = _cancel_of_running_task()
    if abort is None:
        return cancel

    def abort_or_cancel() -> None:
        if abort() is False:
            cancel()

    return abort_or_cancel


def _cancel_of_running_task() -> Callable[[], object]:
    """Return what cancels the task that calls.

    It does not hold the task: one that was cancelled holds the frames in which that met it, and so
    its generator, and the viewer would hold itself open.
    """
    task = asyncio.current_task()
    reference = weakref.ref(task) if task is not None else do_nothing

    def cancel() -> None:
        if (running := reference()) is not None:
            running.cancel()

    return cancel


class _Waiting:
    """Waits for a wake or a time, whichever comes first; a wake that came before counts."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken: asyncio.Future[None] | None = None

    def wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def wait_until(self, when: float) -> None:
        self._woken = self._loop.create_future()
        timer = self._loop.call_later(max(0.0, when - time.monotonic()), self.wake)
        try:
            await self._woken
        finally:
            timer.cancel()
            self._woken = None
