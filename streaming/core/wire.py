"""Wires: how the events of a stream are written on a response (CONTRACT "Wires").

A wire knows bytes and nothing else: not when a beat is due, not which viewer reads, not what an
event means to a run. Every wire writes whole lines with LF ends, so that what was written so far
can be cut off behind any event. The fourth format, `json`, is one document collected for each
viewer and no wire; `negotiation` knows its name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from streaming.core.wire_ndjson import NdjsonWire
from streaming.core.wire_sse import SseWire
from streaming.core.wire_text import TextWire


class Wire(Protocol):
    """What writes events as bytes. Wires hold no state: one is enough for all viewers."""

    @property
    def name(self) -> str:
        """What `?format=` calls it."""

    @property
    def content_type(self) -> str:
        """The response's `Content-Type`."""

    def preamble(self, *, retry_ms: int, ping_interval: float, id: str | None = None) -> bytes:
        """Encode what comes before all events.

        It is never empty: some servers hold the head of a response back until its first byte.

        Args:
            retry_ms: How long a client waits before it connects again, in milliseconds.
            ping_interval: A beat comes after so many seconds of silence.
            id: Of the last event that a resuming client has; None where it starts anew.
        """

    def beat(self, *, as_event: bool = False) -> bytes:
        """Encode a sign of life for a stream that is idle.

        Args:
            as_event: One that a browser's page can see (`?ping=event`); where every beat can be
                seen, it makes no difference.
        """

    def encode(
        self,
        name: str,
        payload: bytes,
        *,
        id: str | None = None,
        retry_ms: int | None = None,
        is_text: bool = False,
    ) -> bytes:
        """Encode one event. What `Event` has checked is trusted here.

        Args:
            name: The event's type.
            payload: Its data: JSON on one line in UTF-8 or, where `is_text`, any text in UTF-8.
            id: What a client sends back to resume after it; None: without one.
            retry_ms: As in the preamble; None says nothing of it. Only SSE has a place for it.
            is_text: The payload is text rather than JSON.
        """


WIRES: Mapping[str, Wire] = MappingProxyType(
    {wire.name: wire for wire in (SseWire(), NdjsonWire(), TextWire())}
)
"""The wires by their names."""
