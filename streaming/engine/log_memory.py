"""The log of a run in memory: numbered, append-only, bounded.

Appended to on the engine's loop only; read from any thread. When a bound is reached the oldest
chunks and attempts go, while `start` and the outcomes stay (CONTRACT "Configuration", `[log]`), so
the log is whole again for whoever reads it from the beginning after a `reset`.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from operator import attrgetter

from streaming.core import codec
from streaming.core.entry import Data, Entry
from streaming.engine.threads import make_lock

TRIMMED_FIRST = frozenset({"chunk", "attempt"})
"""The events that go when a log is full; the others say what became of the run."""

ENTRY_BYTES = 256
"""Bytes that an entry costs beside its payload, as it counts towards the bounds of bytes."""

READ_EVENTS = 512
"""Events that one reading gives at most; more than fill a write."""

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

    def lacks(self, size: int) -> bool:
        """Say whether so many bytes more do not fit, after all has been dropped that may go."""
        if self.used + size > self._max_bytes:
            self._make_room(size)
        return self.used + size > self._max_bytes


class MemoryLog:
    """One run's events.

    Args:
        run: The run's id.
        budget: The bytes of all logs; this log's count towards it until `discard`.
        max_events: Events held.
        max_bytes: Bytes held: payloads, once more for each wire that viewers use, and `ENTRY_BYTES`
            for each event.
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
        # `_outcomes` are those that trimming passed over; `_entries`, from `_head` on, are all that
        # follow without gaps.
        self._outcomes: list[Entry] = []
        self._entries: list[Entry] = []
        self._head = 0
        # Guards the two against a reader in another thread.
        self._lock = make_lock()
        self._wakes: set[Wake] = set()
        self._wires: set[str] = set()

    def append(self, name: str, data: Data, *, force: bool = False) -> int:
        """Append an event, wake all viewers, and return its number.

        Args:
            name: The event's name.
            data: Its data.
            force: Append it even to a full log: for the last words of a run, which are few.

        Raises:
            LogFull: It does not fit, and nothing more can be trimmed.
            ValueError: The data has no JSON form.
            TypeError: The same.
        """
        payload = codec.encode(data)
        size = self._cost(payload)
        self._trim_for(size, force=force)
        n = self.last + 1
        offset = self.end_offset + len(payload)
        entry = Entry(n, name, payload, id=f"{self._run}-{n}", offset=offset)
        with self._lock:
            self._entries.append(entry)
            self.last = n
            self.end_offset = offset
            self.is_ended = name == "done"
        self._hold(size)
        for wake in self._wakes:
            wake()
        return n

    def read(self, after: int, *, max_bytes: int) -> Sequence[Entry]:
        """See `streaming.core.entry.LogReader`."""
        if after >= self.last:
            return ()
        with self._lock:
            entries: list[Entry] = []
            size = 0
            for entry in self._following(after):
                entries.append(entry)
                size += len(entry.payload)
                if size > max_bytes:
                    break
            return entries

    def add_wake(self, wake: Wake) -> None:
        """Have `wake` called on the loop after each append, until it is removed."""
        self._wakes.add(wake)

    def remove_wake(self, wake: Wake) -> None:
        """Take back `add_wake`; harmless where it was never added."""
        self._wakes.discard(wake)

    def keep_encoded(self, wire: str) -> None:
        """Count what each event holds for a wire from now on: its bytes, kept for all viewers."""
        if wire not in self._wires:
            self._wires.add(wire)
            held = (*self._outcomes, *self._entries[self._head :])
            self._hold(sum(len(entry.payload) for entry in held))

    def discard(self) -> None:
        """Give the log's bytes back to the budget; who still reads it may go on."""
        self._budget.used -= self.bytes_held
        self._budget = LogBudget(max_bytes=self.max_bytes, make_room=lambda size: None)
        self._budget.used = self.bytes_held

    def _following(self, after: int) -> list[Entry]:
        """Return the next entries after a number, `READ_EVENTS` of each kind at most."""
        first = self.last - (len(self._entries) - self._head) + 1
        start = self._head + max(after - first + 1, 0)
        entries = self._entries[start : start + READ_EVENTS]
        if after >= first or not self._outcomes:
            return entries
        past = bisect_right(self._outcomes, after, key=_number)
        outcomes = self._outcomes[past : past + READ_EVENTS]
        # Where not all outcomes are in this reading, what follows them is not either.
        return outcomes if len(outcomes) == READ_EVENTS else outcomes + entries

    def _trim_for(self, size: int, *, force: bool) -> None:
        if size > self.max_bytes and not force:
            raise LogFull  # the rest would be trimmed in vain
        while self._is_full(size):
            if not self._trim_one():
                if force:
                    return
                raise LogFull

    def _is_full(self, size: int) -> bool:
        if len(self._outcomes) + len(self._entries) - self._head >= self._max_events:
            return True
        return self.bytes_held + size > self.max_bytes or self._budget.lacks(size)

    def _trim_one(self) -> bool:
        """Drop the oldest event that may go; False where there is none."""
        while self._head < len(self._entries):
            with self._lock:
                entry = self._pop_oldest()
                if entry.name not in TRIMMED_FIRST:
                    self._outcomes.append(entry)
                    continue
                self.trimmed_through = entry.n
            self._hold(-self._cost(entry.payload))
            return True
        return False

    def _pop_oldest(self) -> Entry:
        entry = self._entries[self._head]
        self._head += 1
        # Moving the rest down now and then costs each event once, and keeps reading an index away.
        if self._head * 2 > len(self._entries):
            del self._entries[: self._head]
            self._head = 0
        return entry

    def _cost(self, payload: bytes) -> int:
        return len(payload) * (1 + len(self._wires)) + ENTRY_BYTES

    def _hold(self, size: int) -> None:
        self.bytes_held += size
        self._budget.used += size
