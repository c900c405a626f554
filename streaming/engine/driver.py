"""Stepping a viewer's body in a coroutine: the counterpart of `bridge.drive_in_thread`.

Between two steps the coroutine waits. Where the server takes bytes without making anybody wait, the
coroutine goes on waiting while they are written: a thousand viewers of one event are then not a
thousand tasks that are woken, but two loops in the event loop's next turn. The first steps their
bodies, the second writes: a write is dearer when the reader has fallen asleep since the last.
"""

import asyncio
import time
import weakref
from collections.abc import AsyncGenerator, Callable

from streaming.core.body import Step
from streaming.engine.viewer import Viewer, close_when_dropped, do_nothing

Take = Callable[[bytes], bool]
"""Writes a piece of a body at once; False, with nothing written, where that cannot be done now."""


def drive(
    viewer: Viewer, *, abort: Callable[[], object] | None = None, take: Take | None = None
) -> AsyncGenerator[bytes, None]:
    """Step a viewer's body in the running task, and close it at the end, however that comes.

    Args:
        viewer: The viewer.
        abort: Breaks its connection off; returns False where it cannot. Then, and where there is
            none, the task is cancelled, and the server closes the connection when the client has
            taken what was written.
        take: Offered pieces while the generator waits; what it does not take is given. None where
            all are to be given.
    """
    pieces = _drive(viewer, abort, take)
    close_when_dropped(pieces, viewer)
    return pieces


async def _drive(
    viewer: Viewer, abort: Callable[[], object] | None, take: Take | None
) -> AsyncGenerator[bytes, None]:
    waiting = _Waiting(viewer, take)
    viewer.abort = _abort_or_cancel(abort)
    has_written = False
    try:
        while (step := waiting.next_step()) is not None:
            if isinstance(step, bytes):
                if has_written:
                    # A log that always has more must not keep the loop from all others.
                    await asyncio.sleep(0)
                viewer.writing_since = time.monotonic()
                yield step
                viewer.writing_since = None
                has_written = True
            else:
                await waiting.wait_until(step)
                has_written = False
    finally:
        viewer.close_on_loop()


class _Waiting:
    """Waits for a viewer's wake or a time, whichever comes first; a wake that came before counts.

    It does as long as nothing else runs between a step and the wait that it has asked for.
    """

    def __init__(self, viewer: Viewer, take: Take | None) -> None:
        self._viewer = viewer
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._woken: asyncio.Future[None] | None = None
        # What the body gave that nobody has written yet.
        self._untaken: list[bytes] = []
        viewer.set_wake(self.wake, is_shared=take is not None)

    def next_step(self) -> Step:
        """Step the body, once all that it gave before is written."""
        return self._untaken.pop(0) if self._untaken else self._viewer.step(time.monotonic())

    def wake(self) -> None:
        """Go on, if anybody waits."""
        if self._woken is None or self._woken.done():
            return
        try:
            is_enough = self._take is not None and self._look()
        except Exception as exc:  # noqa: BLE001 - who waits is told, and nobody else
            self._woken.set_exception(exc)
            return
        if not is_enough:
            self._woken.set_result(None)

    async def wait_until(self, when: float) -> None:
        self._woken = self._loop.create_future()
        self._viewer.wake_at(when)
        try:
            await self._woken
        finally:
            self._woken = None

    def _look(self) -> bool:
        """Step the body while the coroutine waits; say whether it may go on waiting."""
        now = time.monotonic()
        step = self._viewer.step(now)
        if isinstance(step, bytes):
            self._untaken.append(step)
            rest = self._viewer.rest_until()
            step = self._viewer.step(now) if rest is None else rest
        if isinstance(step, float):
            self._viewer.wake_at(step)
            if self._untaken:
                self._viewer.call_together(self._write)
            return True
        if step is not None:
            self._untaken.append(step)
        return False

    def _write(self) -> None:
        """Have what the body gave taken by the server, which may be of several wakes."""
        if self._take is None or self._woken is None or not self._untaken:
            return
        try:
            is_taken = self._take(b"".join(self._untaken))
        except Exception as exc:  # noqa: BLE001 - who waits is told, and nobody else
            if not self._woken.done():
                self._woken.set_exception(exc)
            return
        if is_taken:
            self._untaken.clear()
        elif not self._woken.done():
            self._woken.set_result(None)


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
