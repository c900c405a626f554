"""The ways of reading an upstream's body (CONTRACT "Events", `read`).

A reader takes the decompressed bytes as they come and gives the data of chunks; at the end it gives
the last ones, and the value of a body that is read whole. It holds no more than its bounds. What it
gives before a fault, and which fault, never depends on the cuts of its input.
"""

import base64
import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from streaming.core import codec
from streaming.core.charset import declared_charset
from streaming.core.errors_upstream import TooLarge, Undecodable
from streaming.core.lines import LineSplitter
from streaming.core.sse_decoder import ReceivedEvent, SseDecoder

END_OF_TOKENS = "[DONE]"
"""The data that ends the body of an OpenAI-compatible stream of events."""

_LINES_AT_ONCE = 64
"""Lines that are decoded together: ahead of whoever takes them, and again one by one at a fault."""


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

        One by one, so that a fault in the third leaves the first two passed on. All must be taken:
        a fault behind the last is raised then, as the next bytes may never come.
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
        self._is_over = False

    def _admit(self, data: bytes) -> bytes:
        """Count bytes, and return those that are within the bound."""
        if self._max_bytes is not None:
            room = self._max_bytes - self._bytes
            self._is_over = self._is_over or len(data) > room
            data = data[:room]
        self._bytes += len(data)
        return data

    def _refuse_if_over(self) -> None:
        if self._is_over and self._max_bytes is not None:
            raise TooLarge("body", self._max_bytes)


class WholeReader(_BoundedReader):
    """A body that becomes one value, which `convert` makes of its bytes."""

    def __init__(self, *, max_bytes: int | None, convert: Callable[[bytes], Any]) -> None:
        super().__init__(is_streamed=False, max_bytes=max_bytes)
        self._convert = convert
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """See `Reader`."""
        self._data += self._admit(data)
        self._refuse_if_over()
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
        return self._chunks(self._decoder.decode(self._admit(data)))

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
        self._decoder.decode(b"")  # raises what it has seen behind these
        self._refuse_if_over()


class LinesReader(_BoundedReader):
    """Lines: a chunk for each, of what `convert` makes of them; it may pass over some."""

    def __init__(
        self,
        *,
        max_bytes: int | None,
        max_piece_bytes: int,
        convert: Callable[[Sequence[bytes]], Iterable[Any]],
    ) -> None:
        super().__init__(is_streamed=True, max_bytes=max_bytes)
        self._splitter = LineSplitter(max_line_bytes=max_piece_bytes)
        self._convert = convert

    def feed(self, data: bytes) -> Iterator[Any]:
        """See `Reader`."""
        return self._chunks(self._splitter.decode(self._admit(data)))

    def finish(self) -> Iterator[Any]:
        """See `Reader`."""
        return self._chunks(self._splitter.flush())

    def _chunks(self, lines: list[bytes]) -> Iterator[Any]:
        for start in range(0, len(lines), _LINES_AT_ONCE):
            yield from self._convert(lines[start : start + _LINES_AT_ONCE])
        self._splitter.decode(b"")  # raises what it has seen behind these
        self._refuse_if_over()


class TextPiecesReader(_BoundedReader):
    """Pieces of text as they arrive, cut between characters and at the bound of a piece."""

    def __init__(self, *, max_bytes: int | None, max_piece_bytes: int, charset: str) -> None:
        super().__init__(is_streamed=True, max_bytes=max_bytes)
        self._max_piece_bytes = max_piece_bytes
        self._charset = charset
        self._decoder = codecs.getincrementaldecoder(charset)("strict")

    def feed(self, data: bytes) -> Iterator[Any]:
        """See `Reader`."""
        data, size = self._admit(data), self._max_piece_bytes
        return self._chunks(data[at : at + size] for at in range(0, len(data), size))

    def finish(self) -> Iterator[Any]:
        """See `Reader`."""
        return self._chunks([b""], final=True)

    def _chunks(self, pieces: Iterable[bytes], *, final: bool = False) -> Iterator[Any]:
        for piece in pieces:
            before = self._decoder.getstate()
            try:
                text = self._decoder.decode(piece, final)
            except UnicodeError as exc:
                self._decoder.setstate(before)
                yield from self._up_to_fault(piece)
                raise Undecodable(self._charset) from exc
            if text:
                yield text
        self._refuse_if_over()

    def _up_to_fault(self, piece: bytes) -> Iterator[str]:
        text = ""
        try:
            for byte in piece:
                text += self._decoder.decode(bytes([byte]))
        except UnicodeError:
            pass
        if text:
            yield text


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
            max_bytes=max_bytes, max_piece_bytes=max_piece_bytes, convert=_json_lines
        )
    charset = declared_charset(content_type)
    if read == "stream":
        return TextPiecesReader(
            max_bytes=max_bytes, max_piece_bytes=max_piece_bytes, charset=charset
        )
    if read == "lines":
        return LinesReader(
            max_bytes=max_bytes,
            max_piece_bytes=max_piece_bytes,
            convert=partial(map, _text(charset)),
        )
    return WholeReader(max_bytes=max_bytes, convert=_text(charset))


def _json(data: bytes) -> Any:
    try:
        return codec.decode(data)
    except ValueError as exc:
        raise Undecodable("JSON") from exc


def _json_lines(lines: Sequence[bytes]) -> Iterable[Any]:
    values = codec.decode_all(lines)
    if values is not None:
        return values
    return (_json(line) for line in lines if line and not line.isspace())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _text(charset: str) -> Callable[[bytes], str]:
    def convert(data: bytes) -> str:
        try:
            return data.decode(charset)
        except UnicodeError as exc:
            raise Undecodable(charset) from exc

    return convert
