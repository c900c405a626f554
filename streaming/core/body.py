"""The life of a response's body: a log and a cursor, turned into bytes.

A synchronous state machine, so that one implementation serves a coroutine and a thread, and all
that is said about beats, lag, age and ends can be tested without a loop:

    OPENING   nothing was written           -> READING  the preamble, and what is there already
    READING   what the log has, or a beat   -> CLOSING  `shutdown` is the last to be written
                                            -> ENDED    the log has ended and all of it is written
    CLOSING   the last bytes are out        -> ENDED
    ENDED     nothing more

It knows no clock: each step is given the time. The rules are CONTRACT's "Wires" and "Events".
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import accumulate
from typing import Literal, Protocol

from streaming.core.entry import NOTHING, LogReader, encode_event
from streaming.core.event import Event
from streaming.core.wire import Wire

MAX_WRITE_BYTES = 65536
"""Bytes of one write; what is beyond waits for the next step, be it the rest of an event. So a
client that reads slowly makes headway with each of them, however long an event is."""

Piece = bytes | memoryview
"""Bytes of an event, or a part of them, that are shared with the log and with other viewers."""

ShutdownReason = Literal["drain", "max_age", "lagging"]

Step = bytes | float | None
"""What a step says: bytes to write, or wait at most until this time, or the end."""


class Body(Protocol):
    """What a driver steps, from a coroutine or from a thread."""

    def step(self, now: float) -> Step:
        """Say what comes next: bytes to write, a time to wait for at most, or None at the end."""
        ...

    def rest_until(self) -> float | None:
        """Say until when there is nothing to do unless something happens; None: step to learn it.

        What a step would say after one that gave bytes, nearly always and for less.
        """
        ...

    def shut_down(self, reason: ShutdownReason) -> None:
        """Have the stream end at its next step, telling its client when to come back."""
        ...

    def hasten_beat(self) -> None:
        """Have the next step write a beat, unless it writes something else."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """The bounds of one response.

    Args:
        retry_ms: What the client is told to wait before it connects again.
        ping_interval: Seconds without a byte until a beat is written.
        max_lag_events: Events appended since the viewer came and not yet read by it; beyond, it is
            sent `shutdown` (`lagging`) and closed, and resumes by its id.
        max_lag_bytes: The same in bytes of payload.
    """

    retry_ms: int
    ping_interval: float
    max_lag_events: int
    max_lag_bytes: int


class Unwritten:
    """What is still to be written: pieces, joined or cut to writes of `MAX_WRITE_BYTES`.

    Attributes:
        size: Its bytes.
    """

    __slots__ = ("_pieces", "size")

    def __init__(self) -> None:
        self.size = 0
        self._pieces: list[Piece] = []

    def extend(self, pieces: Sequence[Piece]) -> None:
        """Put further pieces behind the others."""
        self._pieces.extend(pieces)
        self.size += sum(map(len, pieces))

    def take(self) -> bytes:
        """Take the next write off the front; it cuts a piece only where that is longer than it."""
        if self.size <= MAX_WRITE_BYTES:
            written = b"".join(self._pieces)
            self._pieces.clear()
            self.size = 0
            return written
        ends = list(accumulate(map(len, self._pieces)))
        count = bisect_right(ends, MAX_WRITE_BYTES)
        if not count:
            self.size -= MAX_WRITE_BYTES
            longer = memoryview(self._pieces[0])
            self._pieces[0] = longer[MAX_WRITE_BYTES:]
            return bytes(longer[:MAX_WRITE_BYTES])
        self.size -= ends[count - 1]
        written = b"".join(self._pieces[:count])
        del self._pieces[:count]
        return written


class _State(Enum):
    OPENING = auto()
    READING = auto()
    CLOSING = auto()
    ENDED = auto()


class StreamBody:
    """The body of one viewer on a wire that streams.

    Args:
        log: What is read.
        wire: How it is written.
        limits: The bounds.
        now: The time, in seconds of any monotonic clock.
        after: The number of the last event that the viewer has.
        last_id: The id that it came back with; None where it is new.
        opening: Events without an id to say first, such as `reset`.
        expires: When the stream is old enough to end (`max_age`); None for never.
        ping_as_event: Write beats as `ping` events that a browser's script can see.
    """

    def __init__(
        self,
        log: LogReader,
        *,
        wire: Wire,
        limits: BodyLimits,
        now: float,
        after: int = 0,
        last_id: str | None = None,
        opening: Sequence[Event] = (),
        expires: float | None = None,
        ping_as_event: bool = False,
    ) -> None:
        self._log = log
        self._wire = wire
        self._limits = limits
        self._cursor = after
        self._last_id = last_id
        self._opening = opening
        self._expires = float("inf") if expires is None else expires
        self._beat = wire.beat(as_event=ping_as_event)
        self._beat_at = now + limits.ping_interval
        self._shutdown: ShutdownReason | None = None
        self._state = _State.OPENING
        self._unwritten = Unwritten()
        # A long event, held while any of it is unwritten, for whoever comes to the same place.
        self._reading = NOTHING
        # How far it has come, for its lag: what was there when it came is a replay, and so is what
        # it reads again after a `reset`.
        self._furthest = log.last
        self._offset = log.end_offset
        # What had been trimmed by the time of the last `reset`.
        self._admitted = 0

    def step(self, now: float) -> Step:
        """See `Body`. Must not be called by two threads at once."""
        if self._state is _State.OPENING:
            self._state = _State.READING
            self._unwritten.extend(self._open())
        if self._state is _State.READING:
            self._read(now)
        if self._unwritten.size:
            self._beat_at = now + self._limits.ping_interval
            written = self._unwritten.take()
            if not self._unwritten.size:
                self._reading = NOTHING
            return written
        if self._state is not _State.READING or self._is_read_out():
            self._state = _State.ENDED
            return None
        if now >= self._beat_at:
            self._beat_at = now + self._limits.ping_interval
            return self._beat
        return min(self._beat_at, self._expires)

    def rest_until(self) -> float | None:
        """See `Body`."""
        log = self._log
        if (
            self._unwritten.size
            or self._cursor < log.last
            or log.is_ended
            or self._shutdown is not None
            or self._state is not _State.READING
        ):
            return None
        return min(self._beat_at, self._expires)

    def shut_down(self, reason: ShutdownReason) -> None:
        """See `Body`."""
        self._shutdown = reason

    def hasten_beat(self) -> None:
        """See `Body`."""
        self._beat_at = float("-inf")

    def _open(self) -> list[bytes]:
        # With the id: a client forgets it at the first blank line that comes without one.
        preamble = self._wire.preamble(
            retry_ms=self._limits.retry_ms,
            ping_interval=self._limits.ping_interval,
            id=self._last_id,
        )
        return [preamble, *(encode_event(self._wire, event) for event in self._opening)]

    def _read(self, now: float) -> None:
        if self._is_lagging():
            self._close("lagging")
            return
        # Before anything more is read: the right to it may have ended with the time.
        if now >= self._expires and not self._is_read_out():
            self._close(self._shutdown or "max_age")
            return
        if (room := MAX_WRITE_BYTES - self._unwritten.size) > 0:
            self._add_pending(room)
        if self._is_read_out():
            return
        if self._shutdown is not None:
            self._close(self._shutdown)

    def _add_pending(self, max_bytes: int) -> None:
        """Encode what the log has for this viewer; first a `reset` where a part of it is gone."""
        reading = self._log.read(self._cursor, max_bytes=max_bytes)
        # Asked after reading: the log may be trimmed in another thread between the two.
        if self._has_missed():
            reset = encode_event(self._wire, Event("reset", {"reason": "trimmed"}))
            self._unwritten.extend((reset,))
            self._cursor = 0
            reading = self._log.read(0, max_bytes=max_bytes)
        if reading.entries:
            newest = reading.entries[-1]
            self._cursor = newest.n
            self._furthest = max(self._furthest, newest.n)
            self._offset = max(self._offset, newest.offset)
            self._unwritten.extend(reading.encoded(self._wire))
            self._reading = reading if len(reading.entries) == 1 else NOTHING

    def _has_missed(self) -> bool:
        """Say whether something is gone that the viewer has not had and was not told of."""
        trimmed = self._log.trimmed_through
        if trimmed <= self._cursor:
            return False
        # Before the end of the gap that the last `reset` spoke of, it has had only what is never
        # trimmed. The gap may grow then: a `reset` for each growth would never let it get past.
        was_told = self._cursor < self._admitted
        self._admitted = trimmed
        return not was_told

    def _is_read_out(self) -> bool:
        return self._log.is_ended and self._cursor >= self._log.last

    def _is_lagging(self) -> bool:
        if self._log.last - self._furthest > self._limits.max_lag_events:
            return True
        return self._log.end_offset - self._offset > self._limits.max_lag_bytes

    def _close(self, reason: ShutdownReason) -> None:
        self._state = _State.CLOSING
        retry_ms = self._limits.retry_ms
        data = {"reason": reason, "reconnect_ms": retry_ms}
        said = encode_event(self._wire, Event("shutdown", data, retry_ms=retry_ms))
        self._unwritten.extend((said,))
