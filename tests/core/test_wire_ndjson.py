"""NDJSON: the exact lines, and that they are JSON whatever stands in them."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.core.event import Event
from streaming.core.wire_ndjson import NdjsonWire

wire = NdjsonWire()

texts = st.text(st.characters(exclude_categories=["Cs"]))
words = texts.map(lambda text: text.translate(dict.fromkeys(b"\r\n\0")))
values = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)


def encode(event: Event) -> bytes:
    return wire.encode(
        event.name, event.payload, id=event.id, retry_ms=event.retry_ms, is_text=event.is_text
    )


def test_event_with_an_id() -> None:
    """The keys stand in the order of the contract, without spaces."""
    assert encode(Event("result", {"a": 1}, id="r-2")) == (
        b'{"event":"result","id":"r-2","data":{"a":1}}\n'
    )


def test_event_without_an_id() -> None:
    """There is no `id` key where there is no id."""
    assert encode(Event("reset", {})) == b'{"event":"reset","data":{}}\n'


def test_empty_id_is_an_id() -> None:
    """An empty id is written: it takes the last one back."""
    assert encode(Event("a", 1, id="")) == b'{"event":"a","id":"","data":1}\n'


def test_retry_stays_in_the_data() -> None:
    """The object has no place for `retry_ms`."""
    assert encode(Event("shutdown", {"reconnect_ms": 5}, retry_ms=5)) == (
        b'{"event":"shutdown","data":{"reconnect_ms":5}}\n'
    )


def test_text_is_a_string() -> None:
    """Text becomes a JSON string, its line breaks escaped."""
    assert encode(Event("message", 'a\r\nb"\\\x00')) == (
        b'{"event":"message","data":"a\\r\\nb\\"\\\\\\u0000"}\n'
    )


def test_payload_passes_unread() -> None:
    """JSON passes as it is: duplicate keys, and numbers of any size."""
    payload = b'{"a":1,"a":1e400,"b":' + b"9" * 5000 + b"}"
    assert wire.encode("a", payload) == b'{"event":"a","data":' + payload + b"}\n"


def test_preamble_opens() -> None:
    """The first line says when to come back and how long silence may last."""
    assert wire.preamble(retry_ms=2000, ping_interval=15.0, id="r-1") == (
        b'{"event":"open","data":{"retry_ms":2000,"ping_interval":15.0}}\n'
    )


def test_beat_is_a_ping() -> None:
    """A beat is an object too, asked for as an event or not."""
    assert wire.beat() == wire.beat(as_event=True) == b'{"event":"ping","data":{}}\n'


@given(name=words.filter(lambda word: word not in ("", "error")), data=values, id=words)
@settings(deadline=None)
def test_there_and_back(name: str, data: Any, id: str) -> None:
    """Any event is one line, and gives its name, id and data back."""
    line = encode(Event(name, data, id=id[:50]))
    assert line.index(b"\n") == len(line) - 1
    assert json.loads(line) == {"event": name, "id": id[:50], "data": data}
