"""The log of a stream of one's own: what a generator has yielded and its viewer has not yet taken.

One writer, on the loop or in a thread of its own, and one reader, anywhere. It holds little: a
writer that is ahead waits, so nothing is ever trimmed.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from streaming.core.entry import NOTHING, Entry, Reading
from streaming.core.event import Event
from streaming.engine.threads import make_lock

MAX_EVENTS = 256
"""Events that a generator may be ahead of its viewer; then it waits."""

MAX_BYTES = 262_144
"""Bytes of payload that it may be ahead; then it waits."""


class LogClosed(Exception):
    """The viewer has gone: there is nobody to write for."""


class StreamLog:
    """Events between a generator and its viewer. Made on the engine's loop."""

    trimmed_through = 0

    def __init__(self) -> None:
        self.last = 0
        self.end_offset = 0
        self.is_ended = False
        self._loop = asyncio.get_running_loop()
        self._wake: Callable[[], None] | None = None
        self._is_closed = False
        self._room = asyncio.Event()
        self._bytes_unread = 0
        self._unread: deque[Entry] = deque()
        # Guards all of the above; a writer in a thread waits on it for room.
        self._changed = threading.Condition(make_lock())

    async def append(self, event: Event) -> None:
        """Append an event, from the loop, once there is room.

        Raises:
            LogClosed: The viewer has gone.
        """
        while not self.append_nowait(event):
            self._room.clear()
            if self._is_full():
                await self._room.wait()
        self.wake()

    def append_from_thread(self, event: Event) -> None:
        """Append an event, from a thread that may wait, once there is room.

        Raises:
            LogClosed: The viewer has gone.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._is_full())
            self._append(event)
        self._call_on_loop(self.wake)

    def end(self) -> None:
        """Say that nothing follows. From any thread."""
        with self._changed:
            self.is_ended = True
        self._call_on_loop(self.wake)

    def read(self, after: int, *, max_bytes: int) -> Reading:
        """See `streaming.core.entry.LogReader`. What was read before is let go."""
        with self._changed:
            was_full = self._is_full()
            entries: list[Entry] = []
            size = 0
            while self._unread and size <= max_bytes:
                entry = self._unread.popleft()
                entries.append(entry)
                size += len(entry.payload)
            self._bytes_unread -= size
            if was_full and entries:
                self._changed.notify_all()
        if was_full and entries:
            self._call_on_loop(self._room.set)
        return Reading(entries) if entries else NOTHING

    def add_wake(self, wake: Callable[[], None]) -> None:
        """Have `wake` called on the loop after each append."""
        self._wake = wake

    def replace_wake(self, wake: Callable[[], None], by: Callable[[], None]) -> None:
        """Have another called in its place."""
        if self._wake == wake:
            self._wake = by

    def remove_wake(self, wake: Callable[[], None]) -> None:
        """Take back `add_wake`: the viewer has gone, and the writer is told at its next event."""
        self._wake = None
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._room.set()

    def wake(self) -> None:
        """Wake the viewer. Called on the loop."""
        if self._wake is not None:
            self._wake()

    def append_nowait(self, event: Event) -> bool:
        """Append an event and wake nobody; False where there is no room. From any thread.

        Raises:
            LogClosed: The viewer has gone.
        """
        with self._changed:
            if self._is_full():
                return False
            self._append(event)
            return True

    def _append(self, event: Event) -> None:
        # Called with the lock, which cannot be taken twice.
        if self._is_closed:
            raise LogClosed
        self.last += 1
        self.end_offset += len(event.payload)
        entry = Entry(
            self.last,
            event.name,
            event.payload,
            id=event.id,
            retry_ms=event.retry_ms,
            is_text=event.is_text,
            offset=self.end_offset,
        )
        self._unread.append(entry)
        self._bytes_unread += len(event.payload)

    def _is_full(self) -> bool:
        if self._is_closed:
            return False
        return len(self._unread) >= MAX_EVENTS or self._bytes_unread >= MAX_BYTES

    def _call_on_loop(self, callback: Callable[[], object]) -> None:
        # A loop that is closed has nobody waiting on it any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)
