"""A run as one JSON document: the `json` wire (CONTRACT "Wires").

`RunDocument` collects a run's events; `DocumentBody` waits for the end of a run and answers its
document, with spaces before it for beats, as JSON allows them.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from streaming.core import codec
from streaming.core.body import MAX_WRITE_BYTES, ShutdownReason, Step
from streaming.core.entry import Entry, LogReader

BEAT = b" "


class RunDocument:
    """The state of a run, gathered from its events.

    Values are kept as they stand in the events: made into objects, they would take many times the
    bytes of the log.
    """

    def __init__(self) -> None:
        self._head: dict[str, Any] = {"run": None, "feed": None, "params": {}}
        self._results: dict[str, Any] = {}
        self._failures: dict[str, Any] = {}
        self._done: msgspec.Raw | None = None

    def add(self, entries: Iterable[Entry]) -> None:
        """Take in further events, in the order of the log."""
        for entry in entries:
            if entry.name == "start":
                data = codec.decode_members(entry.payload)
                self._head = {key: data[key] for key in self._head}
            elif entry.name == "result":
                self._add_outcome(self._results, entry)
            elif entry.name == "failure":
                self._add_outcome(self._failures, entry)
            elif entry.name == "done":
                self._done = msgspec.Raw(entry.payload)

    def encode(self) -> bytes:
        """Write the document; `done` is null while the run goes on."""
        document = {
            **self._head,
            "results": self._results,
            "failures": self._failures,
            "done": self._done,
        }
        return codec.encode(document) + b"\n"

    @staticmethod
    def _add_outcome(outcomes: dict[str, Any], entry: Entry) -> None:
        data = codec.decode_members(entry.payload)
        outcomes[codec.decode(bytes(data.pop("upstream")))] = data


def encode_state(log: LogReader) -> bytes:
    """Write the document of a run as it stands now."""
    document = RunDocument()
    cursor = 0
    while entries := log.read(cursor, max_bytes=MAX_WRITE_BYTES):
        document.add(entries)
        cursor = entries[-1].n
    return document.encode()


class DocumentBody:
    """The body of one viewer that waits for a whole run.

    Args:
        log: The run's log.
        now: The time, in seconds of any monotonic clock.
        ping_interval: Seconds without a byte until a space is written.
        expires: When the document is written as it stands, with `done` null; None for never.
    """

    def __init__(
        self, log: LogReader, *, now: float, ping_interval: float, expires: float | None = None
    ) -> None:
        self._log = log
        self._ping_interval = ping_interval
        self._expires = float("inf") if expires is None else expires
        # The first beat is due at once: some servers hold the head back until the first byte.
        self._beat_at = now
        self._is_cut_short = False
        self._is_written = False

    def step(self, now: float) -> Step:
        """See `Body`."""
        if self._is_written:
            return None
        if self._log.is_ended or self._is_cut_short or now >= self._expires:
            self._is_written = True
            return encode_state(self._log)
        if now >= self._beat_at:
            self._beat_at = now + self._ping_interval
            return BEAT
        return min(self._beat_at, self._expires)

    def shut_down(self, reason: ShutdownReason) -> None:
        """See `Body`: the document is written as it stands."""
        self._is_cut_short = True

    def hasten_beat(self) -> None:
        """See `Body`."""
        self._beat_at = float("-inf")
