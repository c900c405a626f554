"""How many streams may be open at once, in all and for each address."""

from collections import Counter

from streaming.core.errors_request import TooManyStreams, TooManyStreamsPerAddress

RETRY_AFTER = 2
"""Seconds that a client is told to wait where all streams are taken."""


class Admission:
    """Counts open streams, and refuses those beyond the bounds.

    Args:
        max_streams: Streams of this process.
        max_streams_per_address: Streams of one client address; 0 for no bound.
    """

    def __init__(self, *, max_streams: int, max_streams_per_address: int) -> None:
        self._max_streams = max_streams
        self._max_per_address = max_streams_per_address
        self._by_address: Counter[str] = Counter()
        self.open = 0

    def take(self, address: str) -> None:
        """Count a stream that opens.

        Raises:
            TooManyStreams, TooManyStreamsPerAddress: A bound is reached; nothing was counted.
        """
        if self.open >= self._max_streams:
            raise TooManyStreams(self._max_streams, retry_after=RETRY_AFTER)
        if self._max_per_address and self._by_address[address] >= self._max_per_address:
            raise TooManyStreamsPerAddress(self._max_per_address, retry_after=RETRY_AFTER)
        self.open += 1
        self._by_address[address] += 1

    def release(self, address: str) -> None:
        """Count a stream that has closed."""
        self.open -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
