"""An event as a log holds it: encoded once, written on any number of responses.

The wires' bytes are kept beside the payload, so that a thousand viewers on one wire cost one
encoding and share its bytes.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from streaming.core.event import Event
from streaming.core.wire import Wire


class Entry:
    """One event of a log.

    Args:
        n: Its number in the log, from 1.
        name: The event's name.
        payload: Its data as bytes: JSON on one line, or text.
        id: What is written as its id; None writes none.
        retry_ms: As in `Event`.
        is_text: Whether the payload is text rather than JSON.
        offset: Bytes of payload in the log up to and including this one, trimmed ones as well.
    """

    __slots__ = ("_encoded", "id", "is_text", "n", "name", "offset", "payload", "retry_ms")

    def __init__(
        self,
        n: int,
        name: str,
        payload: bytes,
        *,
        id: str | None = None,
        retry_ms: int | None = None,
        is_text: bool = False,
        offset: int = 0,
    ) -> None:
        self.n = n
        self.name = name
        self.payload = payload
        self.id = id
        self.retry_ms = retry_ms
        self.is_text = is_text
        self.offset = offset
        self._encoded: dict[str, bytes] | None = None

    def encoded(self, wire: Wire) -> bytes:
        """Write the event on a wire, at most once for each wire.

        Two threads may both encode it the first time; the bytes are the same.
        """
        if self._encoded is None:
            self._encoded = {}
        try:
            return self._encoded[wire.name]
        except KeyError:
            written = wire.encode(
                self.name,
                self.payload,
                id=self.id,
                retry_ms=self.retry_ms,
                is_text=self.is_text,
            )
            self._encoded[wire.name] = written
            return written


def encode_event(wire: Wire, event: Event) -> bytes:
    """Write an event that stands in no log."""
    return wire.encode(
        event.name,
        event.payload,
        id=event.id,
        retry_ms=event.retry_ms,
        is_text=event.is_text,
    )


class LogReader(Protocol):
    """What a body needs of a log. Safe to call from any thread."""

    @property
    def last(self) -> int:
        """The number of the newest event; 0 where there is none."""
        ...

    @property
    def end_offset(self) -> int:
        """Bytes of payload up to the newest event, trimmed ones as well."""
        ...

    @property
    def trimmed_through(self) -> int:
        """The number of the newest event that is no longer held; 0 where all are."""
        ...

    @property
    def is_ended(self) -> bool:
        """Whether nothing follows the newest event."""
        ...

    def read(self, after: int, *, max_bytes: int) -> Sequence[Entry]:
        """Return the held entries after number `after`, in order.

        At least one where there is any, and no more once their payloads pass `max_bytes`.
        """
        ...


Data = dict[str, Any]
"""The data of a run's event: a JSON object."""
