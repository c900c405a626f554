"""Events: what a run says, and what a stream says of itself (CONTRACT "Events").

An event that is illegal cannot exist: its name and id are checked and its data is encoded when it
is made, so that whoever writes it on a wire has nothing left that could fail.
"""

from dataclasses import dataclass, field
from typing import Any

from streaming.core import codec
from streaming.core.errors import InvalidEvent

MAX_ID_BYTES = 200
"""Bytes of an event's id, as UTF-8; a longer one is refused (CONTRACT "Resume")."""

MAX_RETRY_MS = 2**31 - 1
"""Milliseconds, about 25 days; more is refused, as a timer of JavaScript takes no more."""

_LINE_BREAKERS = ("\r", "\n", "\0")


@dataclass(frozen=True, slots=True)
class Event:
    """One event, as it can be written on every wire.

    Args:
        name: Its type; without line breaks or NUL, and never `error`, which in a browser is the
            connection's own.
        data: Any JSON value. A string is written as it is where the wire has lines of text, and as
            a JSON string where it has JSON.
        id: What a client sends back to resume after it; None leaves the last one standing.
        retry_ms: How long a client waits before it connects again, in milliseconds; None says
            nothing of it.

    Raises:
        InvalidEvent: The name, the id, the time or the data cannot be written.
    """

    name: str = "message"
    data: Any = None
    id: str | None = field(default=None, kw_only=True)
    retry_ms: int | None = field(default=None, kw_only=True)
    payload: bytes = field(init=False, repr=False, compare=False)
    """The data as bytes: UTF-8 text where it is a string, else JSON on one line."""

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.id is not None:
            check_id(self.id)
        if self.retry_ms is not None:
            check_retry_ms(self.retry_ms)
        object.__setattr__(self, "payload", _payload(self.data))

    @property
    def is_text(self) -> bool:
        """Say whether the payload is text rather than JSON."""
        return isinstance(self.data, str)


def check_name(name: str) -> None:
    """Refuse a name that would break the lines of an event stream.

    Raises:
        InvalidEvent: Empty, `error`, or with CR, LF, NUL or a lone surrogate.
    """
    if not isinstance(name, str) or not name or name == "error" or _breaks_line(name):
        raise InvalidEvent("name", "must be a word without line breaks or NUL, and not 'error'")
    _utf8("name", name)


def check_id(id: str) -> None:
    """Refuse an id that would break the lines of an event stream, or that no client could return.

    Raises:
        InvalidEvent: With CR, LF, NUL or a lone surrogate, or over `MAX_ID_BYTES`.
    """
    if not isinstance(id, str) or _breaks_line(id):
        raise InvalidEvent("id", "must be a string without line breaks or NUL")
    if len(id) > MAX_ID_BYTES or len(_utf8("id", id)) > MAX_ID_BYTES:
        raise InvalidEvent("id", f"must not be longer than {MAX_ID_BYTES} bytes")


def is_id(text: str) -> bool:
    """Say whether an event can have this id; what a client sends back may be anything."""
    try:
        check_id(text)
    except InvalidEvent:
        return False
    return True


def check_retry_ms(retry_ms: int) -> None:
    """Refuse a time that no client could wait.

    Raises:
        InvalidEvent: Not a whole number, or not within 0 and `MAX_RETRY_MS`.
    """
    if type(retry_ms) is not int or not 0 <= retry_ms <= MAX_RETRY_MS:
        raise InvalidEvent("retry_ms", f"must be a whole number from 0 to {MAX_RETRY_MS}")


def _breaks_line(text: str) -> bool:
    return any(char in text for char in _LINE_BREAKERS)


def _payload(data: Any) -> bytes:
    if isinstance(data, str):
        return _utf8("data", data)
    try:
        return codec.encode(data)
    except (TypeError, ValueError) as exc:
        raise InvalidEvent("data", f"has no JSON form: {exc}") from exc


def _utf8(what: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise InvalidEvent(what, "has a lone surrogate") from exc
