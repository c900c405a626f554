"""The log of a run in memory: numbered, append-only, bounded.

Appended to on the engine's loop only; read from any thread. When a bound is reached the oldest
chunks and attempts go, while `start` and the outcomes stay (CONTRACT "Configuration", `[log]`), so
the log is whole again for whoever reads it from the beginning after a `reset`.
"""

import asyncio
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, chain
from operator import attrgetter
from weakref import WeakValueDictionary

from streaming.core import codec
from streaming.core.entry import NOTHING, Data, Entry, Reading
from streaming.engine.threads import make_lock

TRIMMED_FIRST = frozenset({"chunk", "attempt"})
"""The events that go when a log is full; the others say what became of the run."""

ENTRY_BYTES = 128
"""Bytes that an entry costs beside its payload, as it counts towards the bounds of bytes."""

READ_EVENTS = 512
"""Events that one reading gives at most; more than fill a write."""

LONG_BYTES = 65536
"""Bytes of payload from which on an event is read by itself, and held as it is written once for all
who are at it, however they came to it, and no longer: what they hold beside is a write."""

TRIMMED_SHARE = 8
"""What was trimmed is let go once it is this part of a log: an eighth."""

Wake = Callable[[], None]


_number = attrgetter("n")


class LogFull(Exception):
    """Nothing more can be trimmed, and the bound is reached."""


class LogBudget:
    """The bytes of all logs of a process together.

    Args:
        max_bytes: The bound; when it is reached, `make_room` is asked to drop finished runs, and
            after that the log that wants to grow trims itself or is full.
        make_room: Drops what may go, until this many bytes are free or nothing is left to drop.
    """

    def __init__(self, *, max_bytes: int, make_room: Callable[[int], None]) -> None:
        self.used = 0
        self._max_bytes = max_bytes
        self._make_room = make_room

    def lacking(self, size: int) -> int:
        """Return what so many bytes more would be over the bound, after all is dropped that may."""
        if self.used + size > self._max_bytes:
            self._make_room(size)
        return self.used + size - self._max_bytes


class MemoryLog:
    """One run's events.

    Args:
        run: The run's id.
        budget: The bytes of all logs; this log's count towards it until `discard`.
        max_events: Events held.
        max_bytes: Bytes held: payloads, and `ENTRY_BYTES` for each event.
    """

    def __init__(self, run: str, *, budget: LogBudget, max_events: int, max_bytes: int) -> None:
        self.last = 0
        self.end_offset = 0
        self.trimmed_through = 0
        self.is_ended = False
        self.bytes_held = 0
        self._run = run
        self._budget = budget
        self._max_events = max_events
        self.max_bytes = max_bytes
        # `_outcomes` are those that trimming passed over; the columns, from `_head` on, hold all
        # that follow without gaps. An object for each event would be half of what a log holds.
        self._outcomes: list[Entry] = []
        # Of what is never trimmed: how much there is, and how much is on its way.
        self._fixed = 0
        self._fixed_bytes = 0
        self._reserved = 0
        self._reserved_bytes = 0
        self._names: list[str] = []
        self._payloads: list[bytes] = []
        self._offsets = array("Q")
        self._head = 0
        # What was read last, from where and how much, while several may want the same.
        self._reading = NOTHING
        self._read_at: tuple[int, int] | None = None
        self._long: WeakValueDictionary[int, Reading] | None = None
        # Guards all of these against a reader in another thread.
        self._lock = make_lock()
        self._wakes: set[Wake] = set()
        self.on_end: Callable[[], None] = lambda: None
        """Called once, on the loop, when nothing follows any more."""

    def append(self, name: str, data: Data, *, force: bool = False) -> int:
        """See `streaming.engine.log_writer.LogWriter`; it wakes all viewers."""
        self._append([codec.encode_again(data)], name, force=force)
        return self.last

    def extend(self, name: str, payloads: Sequence[bytes]) -> None:
        """See `LogWriter`; it wakes all viewers once."""
        self._append(payloads, name, force=False)

    def _append(self, payloads: Sequence[bytes], name: str, *, force: bool) -> None:
        size = self._cost(payloads)
        if not self._make_room(len(payloads), size, force=force):
            if len(payloads) > 1:
                for payload in payloads:
                    self._append([payload], name, force=force)
                return
            if not force:
                raise LogFull
        offsets = accumulate(map(len, payloads), initial=self.end_offset)
        next(offsets)
        with self._lock:
            self._names.extend([name] * len(payloads))
            self._payloads.extend(payloads)
            self._offsets.extend(offsets)
            self.last += len(payloads)
            self.end_offset = self._offsets[-1]
            self.is_ended = name == "done"
            self._read_at = None
        if name not in TRIMMED_FIRST:
            self._fixed += len(payloads)
            self._fixed_bytes += size
        self._hold(size)
        self._tell()

    async def give_way(self) -> None:
        """See `LogWriter`: it takes what it is given at once."""
        await asyncio.sleep(0)

    def reserve(self, name: str, payload: bytes, *, force: bool = False) -> None:
        """Count an event that is on its way into the log.

        Args:
            name: Its name.
            payload: Its data.
            force: Even where there is no room for it.

        Raises:
            LogFull: It would not fit, were all trimmed that may be.
        """
        size = len(payload) + ENTRY_BYTES
        if not (force or self._could_fit(1, size)):
            raise LogFull
        self._budget.used += size
        if name not in TRIMMED_FIRST:
            self._reserved += 1
            self._reserved_bytes += size

    def release(self, name: str, payload: bytes) -> None:
        """Take back `reserve`."""
        size = len(payload) + ENTRY_BYTES
        self._budget.used -= size
        if name not in TRIMMED_FIRST:
            self._reserved -= 1
            self._reserved_bytes -= size

    def take(self, name: str, payloads: Sequence[bytes]) -> None:
        """Append events that are in the log already, of which this is a copy."""
        self._append(payloads, name, force=True)

    def restore(self, entries: Sequence[tuple[str, int, bytes]], *, trimmed_through: int) -> None:
        """Hold these instead of what is held: some have been trimmed before they came here.

        Args:
            entries: All that is left, each with its name, number and payload. Beyond
                `trimmed_through` there is no gap.
            trimmed_through: The number of the newest event that was trimmed.
        """
        new = sum(len(payload) for _, n, payload in entries if n > self.last)
        held = sum(len(payload) + ENTRY_BYTES for _, _, payload in entries)
        fixed = [payload for name, _, payload in entries if name not in TRIMMED_FIRST]
        self._fixed, self._fixed_bytes = len(fixed), self._cost(fixed)
        with self._lock:
            self.end_offset += new
            offset = self.end_offset - sum(len(payload) for _, _, payload in entries)
            self._outcomes, self._names, self._payloads = [], [], []
            self._offsets, self._head = array("Q"), 0
            for name, n, payload in entries:
                offset += len(payload)
                if n <= trimmed_through:
                    id = f"{self._run}-{n}"
                    self._outcomes.append(Entry(n, name, payload, id=id, offset=offset))
                    continue
                self._names.append(name)
                self._payloads.append(payload)
                self._offsets.append(offset)
            self.last = max(trimmed_through, entries[-1][1] if entries else 0)
            self.trimmed_through = trimmed_through
            self.is_ended = bool(entries) and entries[-1][0] == "done"
            self._read_at = None
        self._hold(held - self.bytes_held)
        # What is left elsewhere may be more than is held here: it is trimmed there a write later.
        self._make_room(0, 0, force=True)
        self._tell()

    def read(self, after: int, *, max_bytes: int) -> Reading:
        """See `streaming.core.entry.LogReader`."""
        if after >= self.last:
            return NOTHING
        with self._lock:
            if self._read_at == (after, max_bytes):
                return self._reading
            entries = self._following(after, max_bytes)
            if entries and len(entries[0].payload) >= LONG_BYTES:
                return self._reading_of_long(entries)
            reading = Reading(entries)
            if len(self._wakes) > 1:
                self._reading, self._read_at = reading, (after, max_bytes)
            return reading

    def add_wake(self, wake: Wake) -> None:
        """Have `wake` called on the loop after each append, until it is removed."""
        self._wakes.add(wake)

    def replace_wake(self, wake: Wake, by: Wake) -> None:
        """Have another called in its place."""
        self._wakes.discard(wake)
        self._wakes.add(by)

    def remove_wake(self, wake: Wake) -> None:
        """Take back `add_wake`; harmless where it was never added."""
        self._wakes.discard(wake)
        if len(self._wakes) < 2:
            with self._lock:
                self._reading, self._read_at = NOTHING, None

    def discard(self) -> None:
        """Give the log's bytes back to the budget; who still reads it may go on."""
        self._budget.used -= self.bytes_held
        self._budget = LogBudget(max_bytes=self.max_bytes, make_room=lambda size: None)
        self._budget.used = self.bytes_held

    def _tell(self) -> None:
        for wake in self._wakes:
            wake()
        if self.is_ended:
            self.on_end()

    def _reading_of_long(self, entries: list[Entry]) -> Reading:
        if self._long is None:
            self._long = WeakValueDictionary()
        return self._long.setdefault(entries[0].n, Reading(entries))

    def _following(self, after: int, max_bytes: int) -> list[Entry]:
        first = self.last - (len(self._payloads) - self._head) + 1
        outcomes: list[Entry] = []
        if after < first:
            past = bisect_right(self._outcomes, after, key=_number)
            outcomes = self._outcomes[past : past + READ_EVENTS]
        start = self._head + max(after - first + 1, 0)
        payloads = self._payloads[start : start + READ_EVENTS - len(outcomes)]
        sizes = chain((len(entry.payload) for entry in outcomes), map(len, payloads))
        count = _count_together(sizes, max_bytes)
        if count <= len(outcomes):
            return outcomes[:count]
        return outcomes + self._entries(start, start + count - len(outcomes))

    def _entries(self, start: int, end: int) -> list[Entry]:
        run, first = self._run, self.last - len(self._payloads) + start + 1
        columns = self._names[start:end], self._payloads[start:end], self._offsets[start:end]
        return [
            Entry(n, name, payload, id=f"{run}-{n}", offset=offset)
            for n, (name, payload, offset) in enumerate(zip(*columns, strict=True), first)
        ]

    def _make_room(self, events: int, size: int, *, force: bool) -> bool:
        """Trim until so many events of so many bytes fit; False where they do not even then."""
        if not force and (events > self._max_events or size > self.max_bytes):
            return False  # the rest would be trimmed in vain
        while True:
            held = len(self._outcomes) + len(self._payloads) - self._head
            over = held + events - self._max_events
            lacking = max(self.bytes_held + size - self.max_bytes, self._budget.lacking(size))
            if over <= 0 and lacking <= 0:
                return True
            if not (force or self._could_fit(events, size)):
                return False
            if not self._trim(max(over, 1), lacking):
                return False

    def _could_fit(self, events: int, size: int) -> bool:
        """Say whether so many events of so many bytes fit, were all trimmed that may be."""
        return (
            self._fixed + self._reserved + events <= self._max_events
            and self._fixed_bytes + self._reserved_bytes + size <= self.max_bytes
            and self._budget.lacking(size) <= self.bytes_held - self._fixed_bytes
        )

    def _trim(self, events: int, size: int) -> bool:
        """Drop the oldest events that may go, so many and so many bytes; False where none may."""
        dropped = freed = 0
        with self._lock:
            while self._head < len(self._payloads) and (dropped < events or freed < size):
                if self._names[self._head] in TRIMMED_FIRST:
                    dropped += 1
                    freed += len(self._payloads[self._head]) + ENTRY_BYTES
                    self.trimmed_through = self.last - len(self._payloads) + self._head + 1
                else:
                    self._outcomes += self._entries(self._head, self._head + 1)
                # Let go at once, as it counts no more.
                self._payloads[self._head] = b""
                self._head += 1
            # Moving the rest down now and then costs each event little, and keeps reading an index
            # away.
            if self._head * TRIMMED_SHARE > len(self._payloads):
                for column in (self._names, self._payloads, self._offsets):
                    del column[: self._head]
                self._head = 0
            self._read_at = None
        self._hold(-freed)
        return dropped > 0

    def _cost(self, payloads: Sequence[bytes]) -> int:
        return sum(map(len, payloads)) + len(payloads) * ENTRY_BYTES

    def _hold(self, size: int) -> None:
        self.bytes_held += size
        self._budget.used += size


def _count_together(sizes: Iterable[int], max_bytes: int) -> int:
    """Return how many of the next events are read together."""
    count = 0
    for size in sizes:
        if size >= LONG_BYTES:
            return count or 1
        count += 1
        max_bytes -= size
        if max_bytes < 0:
            break
    return count
