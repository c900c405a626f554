"""Responses as they come: what frames a body, when it is whole, and what is there of it.

The framing (RFC 9112 section 6.3): none after HEAD, CONNECT, 204 and 304; `chunked` and no other
transfer coding, as none was asked for; Content-Length, never beside a transfer coding; else the
connection's end. Bytes behind a whole response are nobody's: the connection is not used again. It
waits for nothing and knows no socket.
"""

import re

from streaming.core.errors_upstream import ProtocolBroken
from streaming.engine.http_chunks import ChunkReader
from streaming.engine.http_head import HeadReader
from streaming.engine.transport import MAX_READ_BYTES

_BODILESS_STATUSES = frozenset({204, 304})
_BODILESS_METHODS = frozenset({"HEAD", "CONNECT"})
# Of 64 bits, as llhttp takes them; int() refuses thousands of them, be they zeros.
_MAX_LENGTH_DIGITS = 20
_CLOSES = re.compile(rb"\r\nconnection:[^\r]*close")


class Incoming:
    """One response, from its first byte to its last.

    Args:
        method: That of the request which is answered. Of CONNECT only the head is read.

    Attributes:
        status: 0 until the head is whole.
        unread: Bytes of the body that are here and were not taken.
        is_whole: Whether the body has come to its end.
        keeps_alive: Whether HTTP lets another request follow.
        has_more: Whether something came behind the response.
    """

    __slots__ = (
        *("_chunks", "_head", "_heads", "_left", "_lowered", "_method", "_pieces"),
        *("has_more", "is_whole", "keeps_alive", "status", "unread"),
    )

    def __init__(self, method: str) -> None:
        self.status = 0
        self.unread = 0
        self.is_whole = False
        self.keeps_alive = False
        self.has_more = False
        self._method = method
        self._head = self._lowered = b""
        self._heads = HeadReader()
        self._chunks: ChunkReader | None = None
        self._left: int | None = None
        self._pieces: list[bytes] = []

    @property
    def opens_tunnel(self) -> bool:
        """Whether a proxy agrees to pass on all that comes from now on."""
        return self._method == "CONNECT" and 200 <= self.status < 300 and not self.has_more

    def header(self, name: str) -> str | None:
        """See `streaming.engine.transport.Response`."""
        # llhttp lets no line be folded, nor a space stand before the colon: the first line that
        # begins so is the field.
        mark = f"\r\n{name.lower()}:".encode()
        found = self._lowered.find(mark)
        if found < 0:
            return None
        begin = found + len(mark)
        value = self._head[begin : self._head.index(b"\r\n", begin)]
        return value.strip(b" \t").decode("utf-8", "replace")

    def feed(self, data: bytes) -> None:
        """Take in what came.

        Raises:
            ProtocolBroken: It is not HTTP, or passes a bound. What came before may be taken.
        """
        if not self.status:
            found = self._heads.feed(data)
            if found is None:
                return
            head, data = found
            self._begin(head)
        if data:
            self._feed_body(data)

    def finish(self) -> bool:
        """Take in the orderly end of the connection; say whether the response is whole by it."""
        if self.status and self._chunks is None and self._left is None:
            self.is_whole = True
        return self.is_whole

    def take(self) -> bytes:
        """Return what is there of the body, up to `MAX_READ_BYTES`."""
        whole = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        if self.unread <= MAX_READ_BYTES:
            self.unread = 0
            self._pieces = []
            return whole
        self.unread -= MAX_READ_BYTES
        self._pieces = [whole[MAX_READ_BYTES:]]
        return whole[:MAX_READ_BYTES]

    def close(self) -> None:
        """Leave nothing behind that refers to itself."""
        self._heads.close()
        if self._chunks is not None:
            self._chunks.close()

    def _begin(self, head: bytes) -> None:
        """Find out what frames the body."""
        status = self._heads.status
        self._head, self._lowered = head, head.lower()
        self.keeps_alive = self._heads.keeps_alive
        if self.keeps_alive and head.startswith(b"HTTP/1.0"):
            # RFC 9112 section 9.3: `close` wins; of this version llhttp sees `keep-alive` alone.
            self.keeps_alive = _CLOSES.search(self._lowered) is None
        codings = self._lowered.count(b"\r\ntransfer-encoding:")
        if self._method in _BODILESS_METHODS or status in _BODILESS_STATUSES:
            self.is_whole = True
        elif not codings:
            self._left = self._length()
            self.is_whole = self._left == 0
        elif codings > 1 or (self.header("transfer-encoding") or "").lower() != "chunked":
            raise ProtocolBroken
        else:
            self._chunks = ChunkReader()
            if head.startswith(b"HTTP/1.0"):
                self.keeps_alive = False  # RFC 9112 section 6.1: such framing is not to be trusted
        self.status = status

    def _length(self) -> int | None:
        length = self.header("content-length")
        if length is not None and len(length) > _MAX_LENGTH_DIGITS:
            raise ProtocolBroken
        return None if length is None else int(length)

    def _feed_body(self, data: bytes) -> None:
        if self.is_whole:
            self.has_more = True
        elif self._chunks is not None:
            self._feed_chunks(self._chunks, data)
        else:
            self._feed_plain(data)

    def _feed_chunks(self, chunks: ChunkReader, data: bytes) -> None:
        before = len(self._pieces)
        try:
            chunks.feed(data, self._pieces)
        finally:
            self.unread += sum(map(len, self._pieces[before:]))
        self.is_whole = chunks.is_whole
        self.has_more = self.has_more or chunks.has_more

    def _feed_plain(self, data: bytes) -> None:
        """Take bytes in as they are, up to the length or the connection's end."""
        left = self._left
        if left is not None:
            if len(data) > left:
                data = data[:left]
                self.has_more = True
            self._left = left - len(data)
            self.is_whole = not self._left
        self._pieces.append(data)
        self.unread += len(data)
