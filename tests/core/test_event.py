"""Events that cannot be illegal: what is refused, and what an event holds once it is made."""

import dataclasses
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.core.errors import InvalidEvent
from streaming.core.event import MAX_ID_BYTES, MAX_RETRY_MS, Event
from streaming.core.wire import WIRES

BREAKS = ["\r", "\n", "\r\n", "\0", "a\rb", "a\nb", "a\0b", "a\n\nevent: b"]


@pytest.mark.parametrize("name", [*BREAKS, "", "error", "\ud800", None, 1, b"a"])
def test_name_refused(name: Any) -> None:
    """A name that breaks a line, is none, or is a browser's own makes no event."""
    with pytest.raises(InvalidEvent, match="the name of an event"):
        Event(name)


@pytest.mark.parametrize("id", [*BREAKS, "\ud800", 1, b"a"])
def test_id_refused(id: Any) -> None:
    """An id that breaks a line, or that no client could send back, makes no event."""
    with pytest.raises(InvalidEvent, match="the id of an event"):
        Event(id=id)


@pytest.mark.parametrize("id", ["x" * (MAX_ID_BYTES + 1), "é" * (MAX_ID_BYTES // 2 + 1)])
def test_id_too_long(id: str) -> None:
    """The bound of an id counts bytes, as the one of what comes back does."""
    with pytest.raises(InvalidEvent, match=f"longer than {MAX_ID_BYTES} bytes"):
        Event(id=id)


@pytest.mark.parametrize("text", ["\x85", "\u2028", "\u2029", "\x0b\x0c\x1c", " ", ":", "errors"])
def test_what_is_no_line_break(text: str) -> None:
    """What is a line break elsewhere is none in an event stream, and is let pass."""
    assert (Event(text, id=text).name, Event(text, id=text).id) == (text, text)


@pytest.mark.parametrize("id", ["", "x" * MAX_ID_BYTES, "é" * (MAX_ID_BYTES // 2)])
def test_id_allowed(id: str) -> None:
    """An empty id takes the last one back; at the bound an id is allowed."""
    assert Event(id=id).id == id


@pytest.mark.parametrize("retry_ms", [-1, 1.5, True, "1", MAX_RETRY_MS + 1, 10**5000], ids=type)
def test_retry_refused(retry_ms: Any) -> None:
    """A time that is no whole number of milliseconds, or that no timer takes, makes no event."""
    with pytest.raises(InvalidEvent, match="the retry_ms of an event"):
        Event(retry_ms=retry_ms)


@pytest.mark.parametrize(
    "data",
    [
        float("nan"),
        [None, float("inf")],
        "\ud800",
        ["\udfff"],
        {"\ud800": 1},
        object(),
        {(1, 2): 3},
        10**5000,
        msgspec.Raw(b'{"a":\n1}'),
        msgspec.Raw(b"1\r2"),
    ],
    ids=lambda data: type(data).__name__,
)
def test_data_refused(data: Any) -> None:
    """Data that has no JSON form on one line makes no event."""
    with pytest.raises(InvalidEvent, match="the data of an event"):
        Event("a", data)


def test_data_in_a_cycle() -> None:
    """Data that holds itself makes no event."""
    data: list[Any] = []
    data.append(data)
    with pytest.raises(InvalidEvent, match="the data of an event"):
        Event("a", data)


def test_text_is_kept_as_it_is() -> None:
    """A string is text, line breaks and all, for the wire to lay out."""
    event = Event("a", 'b\n"c"\r\n')
    assert (event.payload, event.is_text) == (b'b\n"c"\r\n', True)


@pytest.mark.parametrize(
    ("data", "payload"),
    [(None, b"null"), ({"a": ["é\n"]}, '{"a":["é\\n"]}'.encode()), (b"a", b'"YQ=="')],
)
def test_other_data_is_json(data: Any, payload: bytes) -> None:
    """All else is JSON on one line."""
    event = Event("a", data)
    assert (event.payload, event.is_text) == (payload, False)


def test_encoded_when_made() -> None:
    """What becomes of the data later does not change the event."""
    data = {"a": 1}
    event = Event("a", data)
    data["a"] = 2
    assert event.payload == b'{"a":1}'


def test_cannot_be_changed() -> None:
    """A checked event stays as it was checked."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Event("a").name = "b\n"  # type: ignore[misc]


def test_fault_is_a_value_error() -> None:
    """Code that knows nothing of fanstream's errors can tell what it did wrong."""
    with pytest.raises(ValueError, match="has a lone surrogate"):
        Event("a", "\ud800")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
)
anything = st.text(st.sampled_from("ae\r\n\0\ud800\u2028é")) | st.text(st.characters())


@given(
    name=anything,
    data=values,
    id=st.none() | anything,
    retry_ms=st.none() | st.integers(),
    wire=st.sampled_from(sorted(WIRES)),
)
@settings(deadline=None)
def test_refused_or_writable(
    name: str, data: Any, id: str | None, retry_ms: int | None, wire: str
) -> None:
    """Whatever can be made can be written on every wire; whatever cannot is said at once."""
    try:
        event = Event(name, data, id=id, retry_ms=retry_ms)
    except InvalidEvent:
        return
    written = WIRES[wire].encode(
        event.name, event.payload, id=event.id, retry_ms=event.retry_ms, is_text=event.is_text
    )
    assert written.endswith(b"\n")
    written.decode()
