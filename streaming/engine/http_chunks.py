"""Chunked bodies: what is in the chunks, and where the last one ends (RFC 9112 section 7.1).

llhttp reads them, after a head that says no more than that there are chunks.
"""

import httptools

from streaming.core.errors_upstream import ProtocolBroken

MAX_FRAME_BYTES = 65536
"""Bytes in a row that frame a body and hold none of it, such as trailers; more of them are
ProtocolBroken. As many again go uncounted where they come at once with the last of the body."""

_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_NOT_CHUNKS = (httptools.HttpParserError, httptools.HttpParserUpgrade)


class ChunkReader:
    """Reads one body.

    Attributes:
        is_whole: Whether the last chunk has ended, with its trailers.
        has_more: Whether something came behind it.
    """

    __slots__ = ("_frame_bytes", "_parser", "_pieces", "has_more", "is_whole")

    def __init__(self) -> None:
        self.is_whole = False
        self.has_more = False
        self._frame_bytes = 0
        self._pieces: list[bytes] = []
        # It refers back to this object; see `close`.
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._parser.feed_data(_HEAD)

    def feed(self, data: bytes, pieces: list[bytes]) -> None:
        """Read on.

        Args:
            data: What came; not empty.
            pieces: Takes what was in the chunks, be there something malformed behind it.

        Raises:
            ProtocolBroken: It is malformed, or passes a bound.
        """
        self._pieces = pieces
        before = len(pieces)
        try:
            self._feed(memoryview(data))
        except _NOT_CHUNKS as exc:
            if not self.is_whole:
                raise ProtocolBroken from exc
            self.has_more = True
        if self.is_whole:
            self.close()
        self._frame_bytes = self._frame_bytes + len(data) if len(pieces) == before else 0
        if self._frame_bytes > MAX_FRAME_BYTES:
            raise ProtocolBroken

    def close(self) -> None:
        """Leave nothing behind that refers to itself."""
        self._parser = None

    def on_body(self, piece: bytes) -> None:
        """Take what is in a chunk. Called by httptools.

        In what is fed at once llhttp goes on to a message behind this one, whose body is nobody's.
        """
        if not self.is_whole:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """See the end. Called by httptools."""
        if self._parser is not None:
            self.is_whole = True

    def _feed(self, data: memoryview) -> None:
        """Feed the last byte by itself: a body that is whole before it has something behind it.

        Of line breaks there llhttp would say nothing.
        """
        if self._parser is None or self.is_whole:
            self.has_more = True
            return
        self._parser.feed_data(data[:-1])
        if self.is_whole:
            self.has_more = True
        else:
            self._parser.feed_data(data[-1:])
