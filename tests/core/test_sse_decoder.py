"""The reading side of Server-Sent Events: vectors, the standard read literally, and bounds."""

import base64
import itertools
import json
import re
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.core.errors import FanstreamError
from streaming.core.errors_upstream import TooLarge, Undecodable
from streaming.core.sse_decoder import MAX_LINE_BYTES, ReceivedEvent, SseDecoder

VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "sse_decode.json").read_text(encoding="utf-8")
)["vectors"]

# Bytes that the format is made of come often, so that drawn streams hold events and faults.
WORDS = [b"data", b"event", b"id", b"retry", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"\0"]
ODDITIES = [b"\xef\xbb\xbf", b"\xef\xbb", b"\xe2\x82\xac", b"\xe2\x82", b"\xff", b"\xc2\x85", b"7"]
streams = st.lists(st.sampled_from(WORDS + ODDITIES) | st.binary(max_size=3)).map(b"".join)


def stream_of(vector: dict[str, Any]) -> bytes:
    if "input" in vector:
        return bytes(vector["input"], "utf-8")
    return base64.b64decode(vector["input_base64"])


def cut(data: bytes, *at: int) -> list[bytes]:
    edges = [0, *sorted(at), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def one_by_one(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def read(decoder: SseDecoder, pieces: list[bytes]) -> list[ReceivedEvent]:
    events = [event for piece in pieces for event in decoder.decode(piece)]
    return events + decoder.flush()


def read_to_fault(decoder: SseDecoder, pieces: list[bytes]) -> tuple[list[ReceivedEvent], str]:
    """Answer what is handed over before a fault, and the fault."""
    events: list[ReceivedEvent] = []
    try:
        for piece in pieces:
            events += decoder.decode(piece)
        events += decoder.flush()
    except FanstreamError as exc:
        return events, str(exc)
    return events, ""


def by_the_letter(data: bytes) -> tuple[list[ReceivedEvent], str, int | None]:
    """Interpret a whole stream in the standard's own order: decode, cut into lines, process."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = re.split("\r\n|\r|\n", text)[:-1]
    events, buffer, kind, id_buffer, last_id, retry = [], "", "", "", "", None
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            last_id = id_buffer
            if buffer != "":
                events.append(ReceivedEvent(kind or "message", buffer[:-1], last_id))
            buffer, kind = "", ""
        elif field == "data":
            buffer += value + "\n"
        elif field == "event":
            kind = value
        elif field == "id" and "\0" not in value:
            id_buffer = value
        elif field == "retry" and re.fullmatch("[0-9]+", value):
            retry = int(value)
    return events, last_id, retry


def check(vector: dict[str, Any], pieces: list[bytes]) -> None:
    decoder = SseDecoder()
    received = [
        {"event": event.event, "data": event.data, "lastEventId": event.last_event_id}
        for event in read(decoder, pieces)
    ]
    assert received == vector["events"]
    if "retry_ms" in vector:
        assert decoder.retry_ms == vector["retry_ms"]
    if "lastEventId" in vector:
        assert decoder.last_event_id == vector["lastEventId"]


each_vector = pytest.mark.parametrize("vector", VECTORS, ids=[v["name"] for v in VECTORS])


@each_vector
def test_vector_whole(vector: dict[str, Any]) -> None:
    """A stream that comes in one piece is read as the vector says."""
    check(vector, [stream_of(vector)])


@each_vector
def test_vector_byte_by_byte(vector: dict[str, Any]) -> None:
    """It is read the same a byte at a time, empty pieces among them."""
    check(vector, [piece for byte in one_by_one(stream_of(vector)) for piece in (byte, b"")])


@each_vector
def test_vector_cut_anywhere(vector: dict[str, Any]) -> None:
    """It is read the same cut in two, at whatever place."""
    data = stream_of(vector)
    for at in range(len(data) + 1):
        check(vector, cut(data, at))


@given(data=streams)
@settings(deadline=None, max_examples=300)
def test_reads_any_bytes_by_the_letter(data: bytes) -> None:
    """Any bytes at all give what a literal reading of the standard gives."""
    decoder = SseDecoder()
    events, last_id, retry = by_the_letter(data)
    assert (read(decoder, [data]), decoder.last_event_id, decoder.retry_ms) == (
        events,
        last_id,
        retry,
    )


@given(data=streams, at=st.lists(st.integers(0, 200)), strict=st.booleans())
@settings(deadline=None, max_examples=300)
def test_cuts_change_nothing(data: bytes, at: list[int], strict: bool) -> None:
    """Events, the fault behind them and what is held do not depend on the cuts."""
    outcomes = []
    for pieces in ([data], cut(data, *at), one_by_one(data)):
        decoder = SseDecoder(max_line_bytes=12, max_event_bytes=8, max_id_bytes=4, strict=strict)
        outcome = read_to_fault(decoder, pieces)
        outcomes.append((outcome, decoder.last_event_id, decoder.retry_ms))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_hands_over_with_the_blank_line(end: bytes) -> None:
    """An event is there as soon as the first byte of its blank line's end is."""
    decoder = SseDecoder()
    assert decoder.decode(b"data: a" + end) == []
    assert decoder.decode(end[:1]) == [ReceivedEvent("message", "a", "")]
    assert decoder.decode(end[1:]) == []


def test_id_is_committed_by_the_blank_line() -> None:
    """An id that is read but not yet followed by a blank line is no place to resume from."""
    decoder = SseDecoder()
    decoder.decode(b"id: 1\ndata: a\n")
    assert decoder.last_event_id == ""
    decoder.decode(b"\n")
    assert decoder.last_event_id == "1"


def test_carries_the_id_of_an_earlier_connection() -> None:
    """A blank line on a new connection does not forget the last id of the one before."""
    decoder = SseDecoder(last_event_id="7")
    assert decoder.decode(b": open\n\ndata: a\n\n") == [ReceivedEvent("message", "a", "7")]
    assert decoder.last_event_id == "7"


def test_event_of_two_bounds_passes() -> None:
    """Bounds are met: a line, data and an id that are exactly as long are read."""
    decoder = SseDecoder(max_line_bytes=9, max_event_bytes=7, max_id_bytes=5)
    events = decoder.decode(b"id: 12345\ndata: abc\ndata: def\n\n")
    assert events == [ReceivedEvent("message", "abc\ndef", "12345")]


@pytest.mark.parametrize(
    ("limits", "data"),
    [
        pytest.param({"max_line_bytes": 9}, b": 12345678", id="a line without an end"),
        pytest.param({"max_line_bytes": 9}, b": 12345678\r\n", id="a line"),
        pytest.param({"max_event_bytes": 7}, b"data: abc\ndata: defg\n", id="data of two lines"),
        pytest.param({"max_event_bytes": 7}, b"data\n" * 9, id="data of empty lines"),
        pytest.param({"max_id_bytes": 5}, b"id: 123456\n", id="an id"),
    ],
)
def test_refuses_what_is_over_a_bound(limits: dict[str, Any], data: bytes) -> None:
    """One byte over a bound is refused at once, not at the end of the event."""
    decoder = SseDecoder(**limits)
    with pytest.raises(TooLarge) as caught:
        decoder.decode(data)
    assert (caught.value.what, caught.value.max_bytes) == ("piece", *limits.values())


def test_hands_over_what_stands_before_a_fault() -> None:
    """Events before the fault are handed over first; then every call raises."""
    decoder = SseDecoder(max_event_bytes=3)
    assert decoder.decode(b"data: a\n\ndata: long\n\ndata: b\n\n") == [
        ReceivedEvent("message", "a", "")
    ]
    for again in (decoder.flush, lambda: decoder.decode(b"data: c\n\n")):
        with pytest.raises(TooLarge):
            again()


@pytest.mark.parametrize("data", [b"data: \xff\n\n", b"event: \xff\ndata\n\n", b"id: \xff\n"])
def test_strict_refuses_wrong_utf8(data: bytes) -> None:
    """Wrong UTF-8 in what is handed over is refused where the reader asks for it."""
    with pytest.raises(Undecodable, match="UTF-8"):
        SseDecoder(strict=True).decode(data)


def test_strict_passes_over_what_nobody_reads() -> None:
    """Wrong UTF-8 in a comment or an unknown field harms nobody."""
    decoder = SseDecoder(strict=True)
    assert decoder.decode(b": \xff\n\xff: \xff\ndata: a\n\n") == [ReceivedEvent("message", "a", "")]


def test_endless_line_is_refused_with_bounded_memory() -> None:
    """A line of 64 MiB without an end is refused at the bound, and never held beyond it."""
    decoder, piece, fed = SseDecoder(), b"x" * 65536, 0
    tracemalloc.start()
    with pytest.raises(TooLarge):
        while fed < 64 << 20:
            fed += len(piece)
            decoder.decode(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fed == MAX_LINE_BYTES + len(piece)
    assert peak < 2 * MAX_LINE_BYTES


def test_a_large_input_is_refused_without_a_copy() -> None:
    """The same line in a single input is refused before it is copied whole."""
    decoder, data = SseDecoder(), b"x" * (64 << 20)
    tracemalloc.start()
    with pytest.raises(TooLarge):
        decoder.decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * MAX_LINE_BYTES


@pytest.mark.parametrize("piece", [b"x", b"data:%b\n" % (b"x" * 58)], ids=["bytes", "lines"])
def test_linear_time(piece: bytes) -> None:
    """Eight times the bytes of one event cost about eight times the time, not sixty-four."""

    def cost(size: int) -> float:
        pieces = [b"data:", *[piece] * (size // len(piece)), b"\n\n"]
        started = time.process_time()
        assert len(read(SseDecoder(), pieces)) == 1
        return time.process_time() - started

    small = min(cost(100_000) for _ in range(3))
    assert cost(800_000) < 24 * small
