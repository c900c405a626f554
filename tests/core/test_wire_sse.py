"""The writing side of Server-Sent Events: vectors, and the way there and back."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.core.event import MAX_ID_BYTES, Event
from streaming.core.sse_decoder import ReceivedEvent, SseDecoder
from streaming.core.wire_sse import SseWire

VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "sse_encode.json").read_text(encoding="utf-8")
)["vectors"]

wire = SseWire()

# What line breaks are made of, and what is mistaken for them, comes often.
CHARS = st.sampled_from("\r\n\0 :\u2028\u2029\x85\x0b\x0c\x1c\ufeff\u20ac") | st.characters(
    exclude_categories=["Cs"]
)
texts = st.text(CHARS)
words = texts.map(lambda text: text.translate(dict.fromkeys(b"\r\n\0")))
names = words.filter(lambda name: name not in ("", "error"))
ids = words.filter(lambda id: len(id.encode()) <= MAX_ID_BYTES)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner | texts) | st.dictionaries(texts, inner | texts),
)
events = st.builds(
    Event,
    names,
    texts | json_values,
    id=st.none() | ids,
    retry_ms=st.none() | st.integers(0, 2**31 - 1),
)


def encode(event: Event) -> bytes:
    return wire.encode(
        event.name, event.payload, id=event.id, retry_ms=event.retry_ms, is_text=event.is_text
    )


def as_read(event: Event) -> str:
    text = event.payload.decode()
    return text.replace("\r\n", "\n").replace("\r", "\n") if event.is_text else text


each_vector = pytest.mark.parametrize("vector", VECTORS, ids=[v["name"] for v in VECTORS])


@each_vector
def test_vector_encoded(vector: dict[str, Any]) -> None:
    """An event is written as the vector says."""
    encoded = wire.encode(
        vector["event"],
        vector["payload"].encode(),
        id=vector["id"],
        retry_ms=vector["retry_ms"],
        is_text=vector["is_text"],
    )
    assert encoded.decode() == vector["encoded"]


@each_vector
def test_vector_decoded(vector: dict[str, Any]) -> None:
    """What is written is read back as the vector says."""
    events = SseDecoder(last_event_id="").decode(vector["encoded"].encode())
    assert [
        {"event": event.event, "data": event.data, "lastEventId": event.last_event_id}
        for event in events
    ] == vector["decoded"]


@given(sent=st.lists(events, max_size=5))
@settings(deadline=None)
def test_there_and_back(sent: list[Event]) -> None:
    """Any legal events come back one by one; only the line breaks of text have become LF."""
    decoder = SseDecoder(max_line_bytes=1 << 20, max_event_bytes=1 << 20)
    expected, last_id, retry_ms = [], "", None
    for event in sent:
        last_id = last_id if event.id is None else event.id
        retry_ms = retry_ms if event.retry_ms is None else event.retry_ms
        expected.append(ReceivedEvent(event.name, as_read(event), last_id))
    assert decoder.decode(b"".join(map(encode, sent))) == expected
    assert (decoder.last_event_id, decoder.retry_ms) == (last_id, retry_ms)


@given(event=events)
@settings(deadline=None)
def test_writes_whole_lines_with_lf_ends(event: Event) -> None:
    """No CR is ever written, each line is a field, and one blank line ends the block."""
    *lines, blank, rest = encode(event).split(b"\n")
    assert (blank, rest) == (b"", b"")
    assert all(line.startswith((b"retry: ", b"id: ", b"event: ", b"data: ")) for line in lines)
    assert b"\r" not in b"".join(lines)


def test_preamble_dispatches_nothing() -> None:
    """The preamble is a comment and the time to wait; the latter holds as soon as it is read."""
    preamble = wire.preamble(retry_ms=2000, ping_interval=15.0)
    assert preamble.startswith(b": ")
    assert preamble.endswith(b"\nretry: 2000\n")
    decoder = SseDecoder()
    assert (decoder.decode(preamble), decoder.retry_ms) == ([], 2000)


def test_preamble_restores_the_id() -> None:
    """A reader that begins each connection with an empty id keeps the last one over a ping."""
    decoder = SseDecoder()
    decoder.decode(wire.preamble(retry_ms=2000, ping_interval=15.0, id="r-3"))
    assert decoder.decode(wire.beat(as_event=True)) == [ReceivedEvent("ping", "{}", "r-3")]
    assert decoder.last_event_id == "r-3"


def test_beat_is_a_comment() -> None:
    """A beat is seen by nobody, and changes nothing."""
    decoder = SseDecoder(last_event_id="r-1")
    assert wire.beat().startswith(b":")
    assert decoder.decode(wire.beat()) == []
    assert decoder.last_event_id == "r-1"


def test_httpx_sse_makes_no_event_of_preamble_and_beats() -> None:
    """A reader that takes any blank line behind a field for an event gets the event alone."""
    preamble = wire.preamble(retry_ms=2000, ping_interval=15.0, id="r-1")
    event = wire.encode("result", b"1", id="r-2")
    content = preamble + wire.beat() + event + wire.beat()
    headers = {"Content-Type": wire.content_type}
    source = EventSource(httpx.Response(200, headers=headers, content=content))
    assert [(sse.event, sse.id, sse.retry) for sse in source.iter_sse()] == [
        ("result", "r-2", 2000)
    ]


@given(
    sent=st.lists(st.builds(Event, names, json_values, id=ids), max_size=5), size=st.integers(1, 9)
)
@settings(deadline=None)
def test_httpx_sse_reads_what_was_sent(sent: list[Event], size: int) -> None:
    """A reader that is not ours sees the same names, values and ids, wherever the bytes are cut."""
    data = b"".join(map(encode, sent))
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    response = httpx.Response(200, headers={"Content-Type": wire.content_type}, content=pieces)
    assert [(sse.event, sse.data, sse.id) for sse in EventSource(response).iter_sse()] == [
        (event.name, event.payload.decode(), event.id) for event in sent
    ]


def test_beat_as_event_is_a_ping() -> None:
    """A beat that was asked for as an event reaches the page, and leaves the id standing."""
    decoder = SseDecoder(last_event_id="r-1")
    assert decoder.decode(wire.beat(as_event=True)) == [ReceivedEvent("ping", "{}", "r-1")]
