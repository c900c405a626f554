"""A wire for tests that counts how often each event is encoded."""

from collections import Counter
from typing import Any

from streaming.core.wire_sse import SseWire


class CountingWire(SseWire):
    """Server-Sent Events, counted by their payloads."""

    def __init__(self, name: str = "counted") -> None:
        self.name = name  # type: ignore[misc]
        self.encoded: Counter[bytes] = Counter()

    def encode(self, name: str, payload: bytes, **rest: Any) -> bytes:
        self.encoded[payload] += 1
        return super().encode(name, payload, **rest)
