"""What holds for every wire."""

import pytest

from streaming.core.wire import WIRES, Wire

each_wire = pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)


def test_table_has_the_wires_of_the_contract() -> None:
    """The wires go by the names of `?format=`, with the contract's types."""
    assert {name: wire.content_type for name, wire in WIRES.items()} == {
        "sse": "text/event-stream",
        "ndjson": "application/x-ndjson",
        "text": "text/plain; charset=utf-8",
    }
    assert all(wire.name == name for name, wire in WIRES.items())


@each_wire
def test_preamble_is_never_empty(wire: Wire) -> None:
    """Something is written at once, as some servers hold the head back until then."""
    assert wire.preamble(retry_ms=2000, ping_interval=15.0).endswith(b"\n")


@each_wire
@pytest.mark.parametrize("as_event", [False, True])
def test_beat_is_a_whole_line(wire: Wire, as_event: bool) -> None:
    """A beat leaves nothing open that the next event would be drawn into."""
    assert wire.beat(as_event=as_event).endswith(b"\n")


@each_wire
def test_events_can_be_joined(wire: Wire) -> None:
    """Each event ends its own line, so that encoded events can be joined and shared."""
    encoded = wire.encode("a", b"1", id="r-1", retry_ms=1, is_text=True)
    assert encoded.endswith(b"\n")
