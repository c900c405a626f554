"""A log for tests of bodies: it is appended to, trimmed and ended when the test says so.

It gives a few entries at each reading, so that a test reaches the middle of a replay without
megabytes. Like every log it trims chunks only: the start and the outcomes stay.
"""

from collections.abc import Callable
from typing import Any

from streaming.core import codec
from streaming.core.entry import Entry, Reading

RUN = "0123456789abcdef" * 2


class TrimmingLog:
    """A `LogReader` in a list."""

    def __init__(self, *, max_read: int = 1000) -> None:
        self.last = 0
        self.end_offset = 0
        self.trimmed_through = 0
        self.is_ended = False
        self.held: list[Entry] = []
        self.before_read: Callable[[], object] = lambda: None
        """Called before each reading: what another thread does just then."""
        self.max_read = max_read

    def append(self, name: str = "chunk", data: Any = None) -> Entry:
        self.last += 1
        payload = codec.encode({"n": self.last} if data is None else data)
        self.end_offset += len(payload)
        entry = Entry(self.last, name, payload, id=f"{RUN}-{self.last}", offset=self.end_offset)
        self.held.append(entry)
        self.is_ended = name == "done"
        return entry

    def append_chunks(self, count: int) -> None:
        for _ in range(count):
            self.append()

    def trim_through(self, n: int) -> None:
        """Drop the chunks up to number `n`."""
        gone = [entry.n for entry in self.held if entry.n <= n and entry.name == "chunk"]
        self.held = [entry for entry in self.held if entry.n not in gone]
        self.trimmed_through = max(gone, default=self.trimmed_through)

    def read(self, after: int, *, max_bytes: int) -> Reading:
        self.before_read()
        entries: list[Entry] = []
        for entry in self.held:
            if entry.n > after and len(entries) < self.max_read:
                entries.append(entry)
                if sum(len(entry.payload) for entry in entries) > max_bytes:
                    break
        return Reading(entries)
