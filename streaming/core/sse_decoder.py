"""Server-Sent Events: reading an event stream (HTML standard, sections 9.2.5 and 9.2.6).

It works on bytes and decodes what it hands over: the bytes that rule the format are ASCII, so
cutting at them first and decoding then gives what the standard's order gives, wrong UTF-8 included.
It must not know of connections: who reconnects hands `last_event_id` on to the next decoder. The
writing side is `wire_sse`.
"""

from dataclasses import dataclass

from streaming.core.errors_upstream import TooLarge, Undecodable, UpstreamError
from streaming.core.lines import LineSplitter

MAX_LINE_BYTES = 1_048_576
"""Bytes of one line, without its end; a longer one raises `TooLarge`."""

MAX_EVENT_BYTES = 1_048_576
"""Bytes of one event's data, the LF between its lines included; more raises `TooLarge`."""

MAX_ID_BYTES = 4096
"""Bytes of an id; a longer one raises `TooLarge`, as passing over it would resume elsewhere.

Streams of others have ids of several hundred bytes (positions in Kafka); servers take no header
much longer than this one."""

MAX_RETRY_MS = 2**31 - 1
"""Milliseconds; a longer `retry` counts as this: about 25 days, and the most that a timer of
JavaScript takes."""

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event as a browser would dispatch it.

    Args:
        event: Its type; `message` where the stream names none.
        data: Its data, the lines joined by LF.
        last_event_id: The last id that the stream had set by then, by this event or one before;
            empty where there was none.
    """

    event: str
    data: str
    last_event_id: str


class SseDecoder:
    """Decode one event stream.

    An event is handed over with the blank line that ends it. Between calls no more is held than a
    line and an event's data. After a bound is passed the decoder is of no use: every call raises
    again.

    Args:
        max_line_bytes: See `MAX_LINE_BYTES`; comments and unknown fields count too, and so does a
            byte order mark.
        max_event_bytes: See `MAX_EVENT_BYTES`.
        max_id_bytes: See `MAX_ID_BYTES`.
        last_event_id: What an earlier connection of the same source had last. The standard begins
            with an empty one and would forget the place at the first event without an id; browsers
            carry it over, as this does.
        strict: Refuse wrong UTF-8 in what is handed over, instead of replacing it by U+FFFD as the
            standard does.
    """

    __slots__ = (
        "_at_start",
        "_data",
        "_event",
        "_failure",
        "_id",
        "_last_event_id",
        "_lines",
        "_max_event_bytes",
        "_max_id_bytes",
        "_on_wrong_utf8",
        "_retry_ms",
    )

    def __init__(
        self,
        *,
        max_line_bytes: int = MAX_LINE_BYTES,
        max_event_bytes: int = MAX_EVENT_BYTES,
        max_id_bytes: int = MAX_ID_BYTES,
        last_event_id: str = "",
        strict: bool = False,
    ) -> None:
        self._lines = LineSplitter(max_line_bytes=max_line_bytes, cr_ends=True)
        self._max_event_bytes = max_event_bytes
        self._max_id_bytes = max_id_bytes
        self._on_wrong_utf8 = "strict" if strict else "replace"
        self._at_start = True
        self._data = bytearray()
        self._event = b""
        self._id = self._last_event_id = last_event_id
        self._retry_ms: int | None = None
        self._failure: UpstreamError | None = None

    @property
    def last_event_id(self) -> str:
        """The last id that a blank line has committed; empty where there is none."""
        return self._last_event_id

    @property
    def retry_ms(self) -> int | None:
        """The last `retry` that was read, in milliseconds, at most `MAX_RETRY_MS`."""
        return self._retry_ms

    def decode(self, data: bytes) -> list[ReceivedEvent]:
        """Take the next input and answer the events that it completes.

        Raises:
            TooLarge: A line, an event or an id is over its bound.
            Undecodable: Wrong UTF-8, only where `strict`.

        Events before the fault in the same input are handed over first, and the next call raises:
        what is read never depends on the cuts.
        """
        self._raise_failure()
        events: list[ReceivedEvent] = []
        try:
            for line in self._next_lines(data):
                if line:
                    self._process(line)
                elif (event := self._dispatch()) is not None:
                    events.append(event)
        except UpstreamError as exc:
            self._failure = exc
            if not events:
                raise
        return events

    def flush(self) -> list[ReceivedEvent]:
        """End the stream: an event without its blank line is discarded, as the standard says.

        Raises:
            TooLarge, Undecodable: A fault of an earlier input that has not been raised yet.
        """
        self._raise_failure()
        self._lines.flush()
        self._data.clear()
        return []

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _next_lines(self, data: bytes) -> list[bytes]:
        lines = self._lines.decode(data)
        if lines and self._at_start:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BOM)
        return lines

    def _process(self, line: bytes) -> None:
        # A comment is a field without a name, and so passed over like an unknown one.
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._append_data(value)
        elif field == b"event":
            self._event = value
        elif field == b"id" and b"\0" not in value:
            self._set_id(value)
        elif field == b"retry" and value.isdigit():
            self._set_retry(value)

    def _append_data(self, value: bytes) -> None:
        # The LF that follows every value is what tells `data:` from no data at all.
        self._data += value
        self._data += b"\n"
        if len(self._data) - 1 > self._max_event_bytes:
            raise TooLarge("piece", self._max_event_bytes)

    def _set_id(self, value: bytes) -> None:
        if len(value) > self._max_id_bytes:
            raise TooLarge("piece", self._max_id_bytes)
        self._id = self._text(value)

    def _set_retry(self, digits: bytes) -> None:
        digits = digits.lstrip(b"0") or b"0"
        # Measured by its length first: int() is quadratic, and refuses what is very long.
        is_over = len(digits) > len(str(MAX_RETRY_MS))
        self._retry_ms = MAX_RETRY_MS if is_over else min(int(digits), MAX_RETRY_MS)

    def _dispatch(self) -> ReceivedEvent | None:
        self._last_event_id = self._id
        event, self._event = self._event, b""
        if not self._data:
            return None
        self._data.pop()
        received = ReceivedEvent(
            event=self._text(event) or "message",
            data=self._text(self._data),
            last_event_id=self._last_event_id,
        )
        self._data.clear()
        return received

    def _text(self, value: bytes | bytearray) -> str:
        try:
            return value.decode("utf-8", self._on_wrong_utf8)
        except UnicodeDecodeError as exc:
            raise Undecodable("UTF-8") from exc
