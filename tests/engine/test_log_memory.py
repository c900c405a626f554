"""The log in memory: what viewers share, what is let go, copies of logs, readers in other threads.

What is so of every log, in memory or not, is in `test_logs`.
"""

import threading
import tracemalloc
import weakref
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.core.body import MAX_WRITE_BYTES, BodyLimits, StreamBody
from streaming.core.wire import WIRES, Wire
from streaming.engine.log_memory import (
    ENTRY_BYTES,
    LONG_BYTES,
    TRIMMED_FIRST,
    LogBudget,
    LogFull,
    MemoryLog,
)
from tests.counting_wire import CountingWire
from tests.log_battery import EVERYTHING, make_budget, read_entries, read_held

SSE = WIRES["sse"]


def make_log(
    *, max_events: int = 1000, max_bytes: int = EVERYTHING, budget: LogBudget | None = None
) -> MemoryLog:
    return MemoryLog(
        "run", budget=budget or make_budget(), max_events=max_events, max_bytes=max_bytes
    )


# -------------------------------------------------------------- what viewers share


LIMITS = BodyLimits(retry_ms=1, ping_interval=60.0, max_lag_events=1 << 30, max_lag_bytes=1 << 30)


def viewers(log: MemoryLog, wire: Wire, count: int) -> list[StreamBody]:
    """Bodies that read a log, as it is woken for them."""
    for _ in range(count):
        log.add_wake(lambda: None)
    return [StreamBody(log, wire=wire, limits=LIMITS, now=0.0) for _ in range(count)]


def share(log: MemoryLog) -> None:
    """Have it keep what was read last, as for several viewers."""
    log.add_wake(lambda: None)
    log.add_wake(lambda: None)


def write_all(body: StreamBody) -> bytes:
    written = b""
    while isinstance(piece := body.step(0.0), bytes):
        written += piece
    return written


def test_an_event_is_encoded_once_for_all_viewers() -> None:
    """Ten viewers on one wire cost one encoding of each event; another wire costs its own."""
    log, wire, other = make_log(), CountingWire(), CountingWire("other")
    bodies = viewers(log, wire, 10) + viewers(log, other, 1)
    for turn in range(3):
        for n in range(30):
            log.append("chunk", {"n": n, "turn": turn})
        assert len({write_all(body) for body in bodies}) == 1
    assert set(wire.encoded.values()) == set(other.encoded.values()) == {1}
    assert len(wire.encoded) == len(other.encoded) == 90


def test_viewers_share_a_long_event() -> None:
    """Who is in the middle of it holds a write, and no copy of the rest, however it came there."""
    log = make_log()
    bodies = viewers(log, SSE, 20)
    for n in range(20):
        write_all(bodies[n])  # each is at another place
        log.append("chunk", {"n": n})
    log.append("chunk", {"data": "x" * 2_000_000})
    written = []
    tracemalloc.start()
    for body in bodies:
        while len(piece := body.step(0.0)) < MAX_WRITE_BYTES:  # type: ignore[arg-type]
            pass
        written.append(piece)
        log.append("chunk", {})
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(written) == 20
    assert held < 20 * MAX_WRITE_BYTES + 2_000_000 + 200_000


def test_nothing_is_kept_for_viewers_that_have_gone() -> None:
    """Neither what was read last nor a long event as it is written."""
    log = make_log()
    wakes: list[Callable[[], None]] = [lambda: None, lambda: None]
    for wake in wakes:
        log.add_wake(wake)
    log.append("chunk", {})
    log.append("chunk", {"data": "x" * LONG_BYTES})
    short, long = (log.read(after, max_bytes=EVERYTHING) for after in (0, 1))
    seen = [weakref.ref(short), weakref.ref(long)]
    assert log.read(1, max_bytes=EVERYTHING) is long
    del long
    assert seen[1]() is None
    del short
    assert log.read(0, max_bytes=EVERYTHING) is seen[0]()
    for wake in wakes:
        log.remove_wake(wake)
    assert seen[0]() is None


# ----------------------------------------------------------------------- trimming


def test_what_was_trimmed_is_let_go() -> None:
    """At once, be it few events of many bytes before many of few."""
    log = make_log(max_events=2000)
    tracemalloc.start()
    for _ in range(200):
        log.append("chunk", {"data": "x" * 10_000})
    for _ in range(2000):
        log.append("chunk", {})
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 2 * log.bytes_held < 1_000_000


NAMES = st.sampled_from(["start", "chunk", "chunk", "chunk", "attempt", "result", "failure"])


@settings(max_examples=300)
@given(
    steps=st.lists(st.tuples(NAMES, st.integers(0, 400), st.booleans()), max_size=60),
    max_events=st.integers(1, 20),
    max_bytes=st.integers(ENTRY_BYTES, 6000),
    max_read=st.integers(0, 2000),
)
def test_a_log_is_what_was_appended_less_its_oldest_chunks(
    steps: list[tuple[str, int, bool]], max_events: int, max_bytes: int, max_read: int
) -> None:
    """From any number on, a reader gets exactly what is held after it, in order."""
    log = make_log(max_events=max_events, max_bytes=max_bytes)
    held: list[tuple[int, str]] = []
    for name, size, force in steps:
        try:
            n = log.append(name, {"data": "x" * size}, force=force)
        except LogFull:
            assert not force
        else:
            held.append((n, name))
        kept = log.trimmed_through
        held = [(n, name) for n, name in held if n > kept or name not in TRIMMED_FIRST]
    for after in range(log.last + 1):
        read = [(entry.n, entry.name) for entry in read_entries(log, after, max_bytes=max_read)]
        assert read == [(n, name) for n, name in held if n > after]
    assert log.bytes_held == sum(len(entry.payload) + ENTRY_BYTES for entry in read_entries(log))


# ------------------------------------------------------------------------- copies


def test_what_is_on_its_way_has_its_place() -> None:
    """Outcomes that are reserved fill a log as those that are in it; chunks never do."""
    log = make_log(max_events=3)
    log.append("start", {})
    for name in ("result", "chunk", "chunk", "result"):
        log.reserve(name, b"{}")
    for name in ("chunk", "result"):
        with pytest.raises(LogFull):
            log.reserve(name, b"{}")
    log.release("result", b"{}")
    log.reserve("chunk", b"{}")


def test_what_is_on_its_way_counts_for_all_logs() -> None:
    """Until it has arrived, and is counted there, or is taken back."""
    budget = make_budget(3 * (ENTRY_BYTES + len(b"{}")))
    log, other = make_log(budget=budget), make_log(budget=budget)
    for name in ("chunk", "result", "result"):
        log.reserve(name, b"{}")
    with pytest.raises(LogFull):
        other.append("chunk", {})
    log.reserve("done", b"{}", force=True)
    for name in ("chunk", "result", "result", "done"):
        log.release(name, b"{}")
    assert budget.used == 0
    other.append("chunk", {})


def test_a_copy_takes_what_does_not_fit() -> None:
    """It is in the log already; what may go makes room for it."""
    log = make_log(max_events=2)
    for name in ("start", "chunk", "result"):
        log.take(name, [b"{}"])
    log.take("result", [b"{}", b"{}"])
    assert [event[:2] for event in read_held(log)] == [
        (1, "start"),
        (3, "result"),
        (4, "result"),
        (5, "result"),
    ]


def restored(log: MemoryLog) -> list[tuple[int, int]]:
    """Make of a log what another process has left of it; the numbers and offsets it has then."""
    entries = [("start", 1, b"{}"), ("result", 4, b"[12]"), ("chunk", 8, b"[3456]")]
    log.restore(entries, trimmed_through=7)
    return [(entry.n, entry.offset) for entry in read_entries(log)]


def test_a_copy_that_missed_something_is_made_anew() -> None:
    """It goes on from there; a viewer of what it held is behind by what is new alone."""
    log, woken = make_log(), []
    log.append("start", {})
    log.append("chunk", {})
    log.add_wake(lambda: woken.append(log.last))
    assert restored(log) == [(1, 4), (4, 8), (8, 14)]
    assert (log.last, log.trimmed_through, log.end_offset, woken) == (8, 7, 14, [8])
    log.take("done", [b"{}"])
    assert (log.last, log.is_ended, log.end_offset) == (9, True, 16)


def test_a_copy_that_is_made_anew_costs_what_it_holds() -> None:
    """And what its outcomes take of its bounds is counted anew."""
    budget = make_budget()
    log = make_log(max_events=4, budget=budget)
    for name in ("start", "result", "chunk", "chunk"):
        log.append(name, {})
    restored(log)
    assert log.bytes_held == budget.used == 3 * ENTRY_BYTES + len(b"{}[12][3456]")
    log.append("result", {})
    log.append("result", {})
    assert [entry.n for entry in read_entries(log)] == [1, 4, 9, 10]
    with pytest.raises(LogFull):
        log.append("chunk", {})


def test_a_copy_that_is_made_anew_keeps_to_its_bounds() -> None:
    """There may be more left elsewhere than is held here."""
    log = make_log(max_events=2)
    assert [n for n, _ in restored(log)] == [1, 4]
    assert (log.last, log.trimmed_through) == (8, 8)


def test_a_copy_that_is_made_anew_may_be_at_its_end() -> None:
    """Which is said once."""
    log, ends = make_log(), []
    log.on_end = lambda: ends.append(log.last)
    log.restore([("start", 1, b"{}"), ("done", 3, b"{}")], trimmed_through=2)
    assert (log.is_ended, ends, log.last) == (True, [3], 3)


# ------------------------------------------------------------------- other threads


def test_a_reader_in_a_thread_sees_each_event_once_and_in_order() -> None:
    """While the log grows and is trimmed beyond it: outcomes always, and no event twice."""
    log = make_log(max_events=300)
    share(log)
    events = 20_000
    seen: list[int] = []
    outcomes: set[int] = set()

    def read() -> None:
        cursor = 0
        while not log.is_ended or cursor < log.last:
            for entry in log.read(cursor, max_bytes=500).entries:
                seen.append(entry.n)
                cursor = entry.n
                if entry.name == "result":
                    outcomes.add(entry.n)

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(1, events):
        log.append("chunk" if n % 100 else "result", {"n": n})
    log.append("done", {})
    reader.join(30)
    assert seen == sorted(set(seen))
    assert seen[-1] == events
    assert outcomes == set(range(100, events, 100))


def test_a_reader_never_sees_a_gap_that_it_is_not_told_of() -> None:
    """A number that is missing between two events had been trimmed when it looked."""
    log = make_log(max_events=50)
    share(log)
    gaps: list[tuple[int, int, int]] = []

    def read() -> None:
        cursor = 0
        while not log.is_ended or cursor < log.last:
            for entry in log.read(cursor, max_bytes=200).entries:
                if entry.n != cursor + 1:
                    gaps.append((cursor, entry.n, log.trimmed_through))
                cursor = entry.n

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(20_000):
        log.append("chunk", {"n": n})
    log.append("done", {})
    reader.join(30)
    assert all(trimmed >= n - 1 for _, n, trimmed in gaps)
