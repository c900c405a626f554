"""The ways of reading an upstream's body (CONTRACT "Events", `read`).

A reader takes the decompressed bytes as they come and gives the data of chunks; at the end it gives
the last ones, and the value of a body that is read whole. It holds no more than its bounds.
"""

import base64
import codecs
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from streaming.core import codec
from streaming.core.errors import TooLarge, Undecodable
from streaming.core.lines import LineSplitter
from streaming.core.sse_decoder import ReceivedEvent, SseDecoder

END_OF_TOKENS = "[DONE]"
"""The data that ends the body of an OpenAI-compatible stream of events."""


class Reader(Protocol):
    """How one body is read.

    Attributes:
        is_streamed: Whether the body becomes chunks; else it is one value.
        is_complete: Whether the body has said itself that it ends here.
        value: The body that is read whole, after `finish`; None for a stream.

    `feed` and `finish` raise TooLarge and Undecodable.
    """

    is_streamed: bool
    is_complete: bool
    value: Any

    def feed(self, data: bytes) -> Iterator[Any]:
        """Take in bytes and give the data of the chunks that they complete, one by one.

        One by one, so that a fault in the third leaves the first two passed on.
        """
        ...

    def finish(self) -> Iterator[Any]:
        """Take in the end of the body."""
        ...


class _BoundedReader:
    """What all readers share: a bound on the whole body, after decompression."""

    def __init__(self, *, is_streamed: bool, max_bytes: int | None) -> None:
        self.is_streamed = is_streamed
        self.is_complete = False
        self.value: Any = None
        self._max_bytes = max_bytes
        self._bytes = 0

    def _count(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._max_bytes is not None and self._bytes > self._max_bytes:
            raise TooLarge("body", self._max_bytes)


class WholeReader(_BoundedReader):
    """A body that becomes one value, which `convert` makes of its bytes."""

    def __init__(self, *, max_bytes: int | None, convert: Callable[[bytes], Any]) -> None:
        super().__init__(is_streamed=False, max_bytes=max_bytes)
        self._convert = convert
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """See `Reader`."""
        self._count(data)
        self._data += data
        return iter(())

    def finish(self) -> Iterator[Any]:
        """See `Reader`."""
        self.value = self._convert(bytes(self._data))
        return iter(())


class EventsReader(_BoundedReader):
    """A `text/event-stream`: a chunk for each event, until the end or `[DONE]`."""

    def __init__(self, *, max_bytes: int | None, max_piece_bytes: int) -> None:
        super().__init__(is_streamed=True, max_bytes=max_bytes)
        self._decoder = SseDecoder(
            max_line_bytes=max_piece_bytes, max_event_bytes=max_piece_bytes, strict=True
        )

    def feed(self, data: bytes) -> Iterator[Any]:
        """See `Reader`."""
        self._count(data)
        return self._chunks(self._decoder.decode(data))

    def finish(self) -> Iterator[Any]:
        """See `Reader`."""
        return self._chunks(self._decoder.flush())

    def _chunks(self, events: list[ReceivedEvent]) -> Iterator[Any]:
        for event in events:
            if event.data == END_OF_TOKENS:
                self.is_complete = True
                return
            id = event.last_event_id or None
            yield {"event": event.event, "data": event.data, "id": id}


class LinesReader(_BoundedReader):
    """Lines: a chunk for each, of what `convert` makes of it."""

    def __init__(
        self,
        *,
        max_bytes: int | None,
        max_piece_bytes: int,
        convert: Callable[[bytes], Any],
        skip_blank: bool = False,
    ) -> None:
        super().__init__(is_streamed=True, max_bytes=max_bytes)
        self._splitter = LineSplitter(max_line_bytes=max_piece_bytes)
        self._convert = convert
        self._skip_blank = skip_blank

    def feed(self, data: bytes) -> Iterator[Any]:
        """See `Reader`."""
        self._count(data)
        return self._chunks(self._splitter.decode(data))

    def finish(self) -> Iterator[Any]:
        """See `Reader`."""
        return self._chunks(self._splitter.flush())

    def _chunks(self, lines: list[bytes]) -> Iterator[Any]:
        return (self._convert(line) for line in lines if not self._skip_blank or line.strip())


class TextPiecesReader(_BoundedReader):
    """Pieces of text as they arrive, cut between characters and at the bound of a piece."""

    def __init__(self, *, max_bytes: int | None, max_piece_bytes: int, charset: str) -> None:
        super().__init__(is_streamed=True, max_bytes=max_bytes)
        self._max_piece_bytes = max_piece_bytes
        self._charset = charset
        self._decoder = codecs.getincrementaldecoder(charset)("strict")

    def feed(self, data: bytes) -> Iterator[Any]:
        """See `Reader`."""
        self._count(data)
        pieces = (
            data[at : at + self._max_piece_bytes]
            for at in range(0, len(data), self._max_piece_bytes)
        )
        return (text for piece in pieces if (text := self._decode(piece)))

    def finish(self) -> Iterator[Any]:
        """See `Reader`."""
        return filter(None, [self._decode(b"", final=True)])

    def _decode(self, data: bytes, *, final: bool = False) -> str:
        try:
            return self._decoder.decode(data, final)
        except UnicodeError as exc:
            raise Undecodable(self._charset) from exc


def make_reader(
    read: str,
    *,
    content_type: str | None,
    max_bytes: int | None,
    max_piece_bytes: int,
) -> Reader:
    """Make the reader of one body.

    Args:
        read: `json`, `text`, `bytes`, `sse`, `ndjson`, `lines` or `stream`.
        content_type: What the response declares; its charset is used for text.
        max_bytes: The bound of the body; None for none, where it is a stream.
        max_piece_bytes: The bound of one event, line or piece of a stream.

    Raises:
        Undecodable: A charset that nobody knows.
    """
    if read == "json":
        return WholeReader(max_bytes=max_bytes, convert=_json)
    if read == "bytes":
        return WholeReader(max_bytes=max_bytes, convert=_base64)
    if read == "sse":
        return EventsReader(max_bytes=max_bytes, max_piece_bytes=max_piece_bytes)
    if read == "ndjson":
        return LinesReader(
            max_bytes=max_bytes, max_piece_bytes=max_piece_bytes, convert=_json, skip_blank=True
        )
    charset = _charset(content_type)
    if read == "stream":
        return TextPiecesReader(
            max_bytes=max_bytes, max_piece_bytes=max_piece_bytes, charset=charset
        )
    if read == "lines":
        return LinesReader(
            max_bytes=max_bytes, max_piece_bytes=max_piece_bytes, convert=_text(charset)
        )
    return WholeReader(max_bytes=max_bytes, convert=_text(charset))


def _json(data: bytes) -> Any:
    try:
        return codec.decode(data)
    except ValueError as exc:
        raise Undecodable("JSON") from exc


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _text(charset: str) -> Callable[[bytes], str]:
    def convert(data: bytes) -> str:
        try:
            return data.decode(charset)
        except UnicodeError as exc:
            raise Undecodable(charset) from exc

    return convert


def _charset(content_type: str | None) -> str:
    """Return the codec of the declared charset, by its name in Python; UTF-8 where none is."""
    declared = _parameters(content_type or "").get("charset", "utf-8")
    try:
        # Decoding refuses codecs between bytes and bytes (`zlib`, `hex`), as `lookup` does not.
        b"".decode(declared)
        return codecs.lookup(declared).name
    except (LookupError, ValueError) as exc:
        raise Undecodable("text in its declared charset") from exc


def _parameters(content_type: str) -> Mapping[str, str]:
    pairs = (part.partition("=") for part in content_type.split(";")[1:])
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
