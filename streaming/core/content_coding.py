"""Content codings: what `Content-Encoding` says was done to a body is undone here, with a bound.

RFC 9110 section 8.4: `gzip` (also `x-gzip`; RFC 1952, several members in a row), `deflate` (RFC
1950, or RFC 1951 without its wrapper, as some servers send it) and `identity`. It must not know how
long a body may be: it hands on small pieces, and whoever counts them stops, so that a few kilobytes
that would become gigabytes never stand in memory. One coding over another is refused: nobody asked
for it (`Accept-Encoding`), and the two would multiply.
"""

import zlib
from collections.abc import Iterator

from streaming.core.errors_upstream import Undecodable

MAX_OUTPUT_BYTES = 65536
"""Bytes of one piece that `decode` gives; what is longer comes in several."""

_CODINGS = {"": None, "identity": None, "gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_GZIP_WBITS = 16 + zlib.MAX_WBITS
_ZLIB_WBITS = zlib.MAX_WBITS
_RAW_WBITS = -zlib.MAX_WBITS


class ContentDecoder:
    """Undoes the content coding of one body, piece by piece.

    Args:
        coding: The value of `Content-Encoding`, such as `gzip`; None where there is none.

    Raises:
        Undecodable: A coding that is not known, or one over another.
    """

    def __init__(self, coding: str | None) -> None:
        name = (coding or "").strip().lower()
        if name not in _CODINGS:
            # The name itself is the upstream's text, and this sentence goes to viewers.
            raise Undecodable("gzip or deflate")
        self._coding = _CODINGS[name]
        self._inflater: zlib._Decompress | None = None
        self._held_back = b""
        self._has_ended = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Give what the next bytes of the body decode to, in pieces of `MAX_OUTPUT_BYTES` at most.

        All that can be decoded is given: nothing waits for the next call.

        Raises:
            Undecodable: The body is not what its coding says, or goes on after its end.
        """
        return _split(data) if self._coding is None else self._inflate_all(data, self._coding)

    def flush(self) -> None:
        """Take in the end of the body.

        A body of no bytes at all is accepted under every coding, as servers send it.

        Raises:
            Undecodable: It ended too early.
        """
        if self._coding is not None and (self._inflater is not None or self._held_back):
            raise Undecodable(self._coding)

    def _inflate_all(self, data: bytes, coding: str) -> Iterator[bytes]:
        while data := self._ready(data, coding):
            inflater = self._inflater = self._inflater or zlib.decompressobj(_wbits(data, coding))
            try:
                yield from _inflate(inflater, data)
            except zlib.error as exc:
                raise Undecodable(coding) from exc
            if not inflater.eof:
                return
            data, self._inflater, self._has_ended = inflater.unused_data, None, True

    def _ready(self, data: bytes, coding: str) -> bytes:
        """Return the bytes that can be decoded now; none where the rest is padding or too short."""
        if self._inflater is not None:
            return data
        if self._has_ended:
            data = data.lstrip(b"\0")  # padding, borne since gzip was written to tapes
            if data and coding == "deflate":
                raise Undecodable(coding)
        data, self._held_back = self._held_back + data, b""
        if len(data) == 1:
            data, self._held_back = b"", data  # two are needed to tell a wrapper
        return data


def _wbits(head: bytes, coding: str) -> int:
    if coding == "gzip":
        return _GZIP_WBITS
    # RFC 1950 section 2.2. A raw stream does not begin so: that would be a stored block whose
    # padding bits are set, and encoders leave them 0.
    is_wrapped = head[0] & 0x0F == 8 and int.from_bytes(head[:2]) % 31 == 0
    return _ZLIB_WBITS if is_wrapped else _RAW_WBITS


def _inflate(inflater: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    piece = b""
    # After a full piece zlib may hold more output, though it has taken all input.
    while data or len(piece) == MAX_OUTPUT_BYTES:
        piece = inflater.decompress(data, MAX_OUTPUT_BYTES)
        data = inflater.unconsumed_tail
        if piece:
            yield piece


def _split(data: bytes) -> Iterator[bytes]:
    starts = range(0, len(data), MAX_OUTPUT_BYTES)
    return (data[start : start + MAX_OUTPUT_BYTES] for start in starts)
