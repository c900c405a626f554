"""A run as one JSON document: the `json` wire (CONTRACT "Wires").

`document_pieces` writes it from the events as they stand in the log, so that viewers who read it
slowly hold nothing of their own but the write that goes on. `DocumentBody` may wait for the end of
the run first, with spaces for beats, as JSON allows them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from streaming.core import codec
from streaming.core.body import MAX_WRITE_BYTES, Piece, ShutdownReason, Step, Unwritten
from streaming.core.entry import Entry, LogReader

BEAT = b" "

_NO_START = Entry(0, "start", b'{"run":null,"feed":null,"params":{}}')


@dataclass(slots=True, kw_only=True)
class _State:
    """The events that say how a run stands."""

    start: Entry = _NO_START
    results: list[Entry] = field(default_factory=list)
    failures: list[Entry] = field(default_factory=list)
    done: Entry | None = None


def document_pieces(log: LogReader) -> Iterator[Piece]:
    """Give the document of a run as it stands when the first piece is asked for.

    Values are views of the events: copied they would take the bytes of the log once more, and made
    into objects many times.
    """
    state = _read_state(log)
    start = codec.decode_members(state.start.payload)
    for before, key in ((b'{"run":', "run"), (b',"feed":', "feed"), (b',"params":', "params")):
        yield before
        yield memoryview(start[key])
    yield b',"results":{'
    yield from _outcomes(state.results)
    yield b'},"failures":{'
    yield from _outcomes(state.failures)
    yield b'},"done":'
    yield state.done.payload if state.done else b"null"
    yield b"}\n"


def _read_state(log: LogReader) -> _State:
    state = _State()
    cursor = 0
    while entries := log.read(cursor, max_bytes=MAX_WRITE_BYTES).entries:
        for entry in entries:
            match entry.name:
                case "start":
                    state.start = entry
                case "result":
                    state.results.append(entry)
                case "failure":
                    state.failures.append(entry)
                case "done":
                    state.done = entry
        cursor = entries[-1].n
    return state


def _outcomes(entries: Sequence[Entry]) -> Iterator[Piece]:
    """Give outcomes as members by their upstreams' names, which then stand in them no more."""
    for n, entry in enumerate(entries):
        members = codec.decode_members(entry.payload)
        if n:
            yield b","
        yield memoryview(members.pop("upstream"))
        yield b":{"
        for place, (key, value) in enumerate(members.items()):
            yield (b"," if place else b"") + codec.encode(key) + b":"
            yield memoryview(value)
        yield b"}"


class DocumentBody:
    """The body of one viewer of a run's document.

    Args:
        log: The run's log.
        now: The time, in seconds of any monotonic clock.
        ping_interval: Seconds without a byte until a space is written.
        expires: When the document is written as it stands, with `done` null: at once where that is
            `now`. None: only when the run has ended.
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
        self._pieces: Iterator[Piece] | None = None
        self._unwritten = Unwritten()

    def step(self, now: float) -> Step:
        """See `Body`."""
        if self._pieces is None:
            if not (self._log.is_ended or self._is_cut_short or now >= self._expires):
                return self._wait(now)
            self._pieces = document_pieces(self._log)
        while self._unwritten.size < MAX_WRITE_BYTES:
            if (piece := next(self._pieces, None)) is None:
                break
            self._unwritten.extend((piece,))
        return self._unwritten.take() or None

    def shut_down(self, reason: ShutdownReason) -> None:
        """See `Body`: the document is written as it stands, and to its end."""
        self._is_cut_short = True

    def rest_until(self) -> float | None:
        """See `Body`."""
        return None

    def hasten_beat(self) -> None:
        """See `Body`."""
        self._beat_at = float("-inf")

    def _wait(self, now: float) -> Step:
        if now >= self._beat_at:
            self._beat_at = now + self._ping_interval
            return BEAT
        return min(self._beat_at, self._expires)
