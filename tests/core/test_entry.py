"""Events as they are written: when they are first asked for, and then no more."""

from streaming.core.entry import Entry, Reading, encode_event
from streaming.core.event import Event
from streaming.core.wire import WIRES
from tests.counting_wire import CountingWire


def test_encoded_once_for_each_wire() -> None:
    """The second viewer on a wire is given the very bytes of the first."""
    reading = Reading([Entry(1, "a", b"{}"), Entry(2, "a", b"[]")])
    first, second = CountingWire("first"), CountingWire("second")
    written = reading.encoded(first)
    assert reading.encoded(first) is written
    assert reading.encoded(second) == written
    assert first.encoded == second.encoded == {b"{}": 1, b"[]": 1}


def test_encoded_on_no_wire_unasked() -> None:
    """Events that nobody watches cost their payload and no more."""
    wire = CountingWire()
    Reading([Entry(1, "a", b"{}")])
    assert not wire.encoded


def test_all_of_an_entry_is_written() -> None:
    """Name, id, time to wait and the kind of payload reach the wire."""
    entry = Entry(7, "note", b"a\nb", id="r-7", retry_ms=5, is_text=True, offset=3)
    written = b"retry: 5\nid: r-7\nevent: note\ndata: a\ndata: b\n\n"
    assert Reading([entry]).encoded(WIRES["sse"]) == [written]


def test_event_of_no_log() -> None:
    """An event that a stream says of itself is written as one of a log, without an id."""
    written = encode_event(WIRES["ndjson"], Event("reset", {"reason": "unknown"}))
    assert written == b'{"event":"reset","data":{"reason":"unknown"}}\n'


def test_text_event_of_no_log() -> None:
    """Text stays text where the wire has text."""
    assert encode_event(WIRES["sse"], Event("a", "b", id="c", retry_ms=1)) == (
        b"retry: 1\nid: c\nevent: a\ndata: b\n\n"
    )
