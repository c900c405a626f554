"""Events as a log gives them: read together, and written once for all who read them.

The events of one reading are kept as they are written, so that a thousand viewers that stand at the
same place of a log cost one encoding and share its bytes.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from streaming.core.event import Event
from streaming.core.wire import Wire


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One event of a log.

    A struct that the garbage collector passes over, as it holds nothing that could hold it.

    Args:
        n: Its number in the log, from 1.
        name: The event's name.
        payload: Its data as bytes: JSON on one line, or text.
        id: What is written as its id; None writes none.
        retry_ms: As in `Event`.
        is_text: Whether the payload is text rather than JSON.
        offset: Bytes of payload in the log up to and including this one, trimmed ones as well.
    """

    n: int
    name: str
    payload: bytes
    id: str | None = None
    retry_ms: int | None = None
    is_text: bool = False
    offset: int = 0


class Reading:
    """Events that were read together.

    Args:
        entries: The events, in order.
    """

    __slots__ = ("__weakref__", "_encoded", "entries")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self._encoded: dict[str, Sequence[bytes]] = {}

    def encoded(self, wire: Wire) -> Sequence[bytes]:
        """Write each event on a wire, at most once for each wire.

        Two threads may both encode them the first time; the bytes are the same.
        """
        encoded = self._encoded.get(wire.name)
        if encoded is None:
            encode = wire.encode
            encoded = self._encoded[wire.name] = [
                encode(e.name, e.payload, id=e.id, retry_ms=e.retry_ms, is_text=e.is_text)
                for e in self.entries
            ]
        return encoded


NOTHING = Reading(())
"""What is read where nothing follows."""


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

    def read(self, after: int, *, max_bytes: int) -> Reading:
        """Return the held entries after number `after`, in order.

        At least one where there is any, and no more once their payloads pass `max_bytes`. Whoever
        still writes what was read holds the reading, so that others are given the same.
        """
        ...


Data = dict[str, Any]
"""The data of a run's event: a JSON object."""
