"""Heads of responses: where each ends, and what HTTP has to say of it (RFC 9112 sections 2 to 5).

Read strictly: what one reader repairs, another reads differently. llhttp judges what stands in a
head; where it ends is found here, byte for byte, so that no parser is ever given what does not
belong to its message. It waits for nothing and knows no socket.
"""

import httptools

from streaming.core.errors_upstream import ProtocolBroken

MAX_HEAD_LINE_BYTES = 16384
"""Bytes of the status line, or of one field, of a response; a longer one is ProtocolBroken."""

MAX_HEAD_BYTES = 65536
"""Bytes of a response's head, with the interim ones (1xx) and blank lines before it; more of them
are ProtocolBroken."""

_HEAD_END = b"\r\n\r\n"
# llhttp takes RTSP, ICE and HTTP/2.0 too.
_VERSIONS = (b"HTTP/1.1 ", b"HTTP/1.0 ")


class HeadReader:
    """Reads up to the end of one response's head.

    Attributes:
        status: Of the last head that was read.
        keeps_alive: Whether that lets another request follow (RFC 9112 section 9.3).
    """

    __slots__ = ("_head", "_parser", "_skipped", "keeps_alive", "status")

    def __init__(self) -> None:
        self.status = 0
        self.keeps_alive = False
        self._head = b""
        self._skipped = 0
        # It refers back to this object, so that it goes with its head.
        self._parser: httptools.HttpResponseParser | None = None

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Read on; return the head and what stands behind it, None while it is not whole.

        Interim heads are passed over (RFC 9110 section 15.2), but not a switch of protocols.

        Raises:
            ProtocolBroken: It is not HTTP, or passes a bound.
        """
        while data:
            seen = len(self._head)
            head = self._head + data if seen else self._skip_blank(data)
            end = head.find(_HEAD_END, max(0, seen - 3)) + len(_HEAD_END)
            is_whole = end >= len(_HEAD_END)
            self._judge(head, seen, end if is_whole else len(head), is_whole=is_whole)
            if not is_whole:
                self._head = head
                return None
            self._end_head(head)
            if self.status >= 200:
                return head[:end], head[end:]
            self._skipped += end
            data = head[end:]
        return None

    def close(self) -> None:
        """Leave nothing behind that refers to itself."""
        self._parser = None

    def on_headers_complete(self) -> None:
        """Ask what can be told no more when the message has ended. Called by httptools."""
        if self._parser is not None:
            self.keeps_alive = self._parser.should_keep_alive()

    def _skip_blank(self, data: bytes) -> bytes:
        stripped = data.lstrip(b"\r\n")
        self._skipped += len(data) - len(stripped)
        return stripped

    def _judge(self, head: bytes, begin: int, end: int, *, is_whole: bool) -> None:
        """Have llhttp look at what is new in a head, once it is within its bounds."""
        if self._skipped + end > MAX_HEAD_BYTES or (
            end > MAX_HEAD_LINE_BYTES and _has_long_line(head[:end], is_whole=is_whole)
        ):
            raise ProtocolBroken
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(memoryview(head)[begin:end])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            raise ProtocolBroken from exc
        self.status = self._parser.get_status_code()

    def _end_head(self, head: bytes) -> None:
        # The parser goes too: after an interim head it might go on to a body, which there is none.
        self._head, self._parser = b"", None
        if not head.startswith(_VERSIONS) or self.status < 100 or self.status == 101:
            raise ProtocolBroken


def _has_long_line(head: bytes, *, is_whole: bool) -> bool:
    """Say whether a line of a head is too long; while it is not whole, the line that goes on."""
    if is_whole:
        return max(map(len, head.split(b"\r\n"))) > MAX_HEAD_LINE_BYTES
    # Its CR may be there already.
    longest = MAX_HEAD_LINE_BYTES + 1
    return len(head) > longest and head.rfind(b"\r\n", max(0, len(head) - longest - 2)) < 0
