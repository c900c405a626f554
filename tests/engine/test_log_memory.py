"""The log in memory: numbers without gaps, what goes when it is full, readers in other threads."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.core.entry import Entry
from streaming.engine.log_memory import (
    ENTRY_BYTES,
    READ_EVENTS,
    TRIMMED_FIRST,
    LogBudget,
    LogFull,
    MemoryLog,
)

EVERYTHING = 1 << 30


def make_log(
    *, max_events: int = 1000, max_bytes: int = EVERYTHING, budget: LogBudget | None = None
) -> MemoryLog:
    return MemoryLog(
        "run", budget=budget or make_budget(), max_events=max_events, max_bytes=max_bytes
    )


def make_budget(
    max_bytes: int = EVERYTHING, make_room: Callable[[int], None] = lambda size: None
) -> LogBudget:
    return LogBudget(max_bytes=max_bytes, make_room=make_room)


def read_all(log: MemoryLog, after: int = 0, *, max_bytes: int = EVERYTHING) -> list[Entry]:
    """Everything that is held after a number, as a viewer would read it, piece by piece."""
    entries: list[Entry] = []
    while piece := log.read(after, max_bytes=max_bytes):
        entries += piece
        after = piece[-1].n
    return entries


def numbers(log: MemoryLog, after: int = 0) -> list[int]:
    return [entry.n for entry in read_all(log, after)]


# --------------------------------------------------------------- appending, reading


def test_events_are_numbered_from_one() -> None:
    """Each with the id that names it, and its data as JSON on one line."""
    log = make_log()
    assert [log.append(name, {"a": "ü"}) for name in ("start", "chunk")] == [1, 2]
    first, second = log.read(0, max_bytes=EVERYTHING)
    assert (first.n, first.id, first.name, first.payload) == (
        1,
        "run-1",
        "start",
        b'{"a":"\xc3\xbc"}',
    )
    assert second.id == "run-2"


def test_a_reader_gets_what_follows_its_number() -> None:
    """Nothing where it has all, also beyond the end."""
    log = make_log()
    for _ in range(3):
        log.append("chunk", {})
    assert numbers(log, after=1) == [2, 3]
    assert not log.read(3, max_bytes=EVERYTHING)
    assert not log.read(99, max_bytes=EVERYTHING)


@pytest.mark.parametrize("max_bytes", [0, 1, 50])
def test_a_reading_is_bounded_and_never_empty(max_bytes: int) -> None:
    """It ends once its payloads pass the bound, and gives one event at least."""
    log = make_log()
    for n in range(20):
        log.append("chunk", {"data": n})
    sizes = [len(log.read(after, max_bytes=max_bytes)) for after in range(20)]
    assert min(sizes) == 1
    assert max(sizes) <= 1 + max_bytes // len(b'{"data":1}')
    assert [entry.n for entry in read_all(log, max_bytes=max_bytes)] == list(range(1, 21))


def test_a_log_ends_with_done() -> None:
    """And not before."""
    log = make_log()
    log.append("start", {})
    assert not log.is_ended
    log.append("done", {})
    assert log.is_ended


@pytest.mark.parametrize("data", [{"a": float("nan")}, {"a": "\ud800"}, {"a": object()}])
def test_what_has_no_json_form_is_refused_whole(data: dict[str, Any]) -> None:
    """Nothing is counted, numbered or said."""
    log = make_log()
    woken: list[int] = []
    log.add_wake(lambda: woken.append(1))
    with pytest.raises((ValueError, TypeError)):
        log.append("chunk", data)
    assert (log.last, log.bytes_held, log.end_offset, woken) == (0, 0, 0, [])


def test_each_append_wakes_who_asked_for_it() -> None:
    """With the event there to be read; whoever takes it back is left alone."""
    log = make_log()
    seen: list[int] = []

    def wake() -> None:
        seen.append(log.last)

    log.add_wake(wake)
    log.append("chunk", {})
    log.append("done", {})
    log.remove_wake(wake)
    log.remove_wake(wake)
    log.append("chunk", {})
    assert seen == [1, 2]


# ----------------------------------------------------------------------- trimming


def test_the_oldest_chunks_and_attempts_go_first() -> None:
    """`start` and the outcomes stay, in their order among what is left."""
    log = make_log(max_events=4)
    for name in ("start", "attempt", "chunk", "result", "chunk", "chunk"):
        log.append(name, {})
    assert [(entry.n, entry.name) for entry in read_all(log)] == [
        (1, "start"),
        (4, "result"),
        (5, "chunk"),
        (6, "chunk"),
    ]
    assert log.trimmed_through == 3
    assert log.last == 6


def test_bytes_are_a_bound_too() -> None:
    """Payloads, and a fixed price for each event."""
    log = make_log(max_bytes=3 * (ENTRY_BYTES + len(b'{"a":1}')))
    for n in range(5):
        log.append("chunk", {"a": n})
        assert log.bytes_held <= log.max_bytes
    assert numbers(log) == [3, 4, 5]


def test_the_copies_of_wires_count_too() -> None:
    """Each wire in use holds the bytes of every event once more, from its first viewer on."""
    log = make_log()
    log.append("chunk", {"a": 1})
    payload = log.bytes_held - ENTRY_BYTES
    for wire in ("sse", "sse", "text"):
        log.keep_encoded(wire)
    assert log.bytes_held == 3 * payload + ENTRY_BYTES
    log.append("chunk", {"a": 2})
    assert log.bytes_held == 2 * (3 * payload + ENTRY_BYTES)


def test_a_trimmed_event_gives_back_its_copies() -> None:
    """What was counted for an event is what its going frees."""
    log = make_log(max_events=2)
    log.keep_encoded("sse")
    for n in range(5):
        log.append("chunk", {"a": n})
    assert log.bytes_held == 2 * (2 * len(b'{"a":1}') + ENTRY_BYTES)


def test_a_log_that_can_trim_nothing_is_full() -> None:
    """It says so, and stays as it was."""
    log = make_log(max_events=2)
    log.append("start", {})
    log.append("result", {})
    for name in ("chunk", "failure"):
        with pytest.raises(LogFull):
            log.append(name, {})
    assert numbers(log) == [1, 2]
    assert log.append("chunk", {}, force=True) == 3


def test_last_words_always_fit() -> None:
    """A full log trims for them first, then takes them anyhow."""
    log = make_log(max_events=3)
    for name in ("start", "chunk", "chunk"):
        log.append(name, {})
    for name in ("failure", "failure", "done"):
        log.append(name, {}, force=True)
    assert [entry.name for entry in read_all(log)] == ["start", "failure", "failure", "done"]
    assert numbers(log) == [1, 4, 5, 6]


def test_what_is_larger_than_the_log_is_refused() -> None:
    """And nothing is trimmed for it in vain."""
    log = make_log(max_bytes=2000)
    log.append("start", {})
    log.append("chunk", {})
    with pytest.raises(LogFull):
        log.append("result", {"body": "x" * 2000})
    assert numbers(log) == [1, 2]


def test_a_reading_that_ends_among_the_outcomes_does_not_skip_any() -> None:
    """More outcomes than one reading gives stand before the chunks that are held."""
    log = make_log(max_events=READ_EVENTS + 11)
    for _ in range(READ_EVENTS + 10):
        log.append("result", {})
    for _ in range(5):
        log.append("chunk", {})
    assert numbers(log) == [*range(1, READ_EVENTS + 11), READ_EVENTS + 15]


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
        read = [(entry.n, entry.name) for entry in read_all(log, after, max_bytes=max_read)]
        assert read == [(n, name) for n, name in held if n > after]
    assert log.bytes_held == sum(len(entry.payload) + ENTRY_BYTES for entry in read_all(log))


# ------------------------------------------------------------------ the budget of all


def test_logs_share_a_budget() -> None:
    """One that is full because of others trims what it has itself."""
    size = ENTRY_BYTES + len(b"{}")
    budget = make_budget(4 * size)
    first, second = make_log(budget=budget), make_log(budget=budget)
    for log in (first, second):
        log.append("chunk", {})
        log.append("chunk", {})
    first.append("chunk", {})
    assert (numbers(first), numbers(second)) == ([2, 3], [1, 2])
    with pytest.raises(LogFull):
        make_log(budget=budget).append("start", {})
    assert budget.used == 4 * size


def test_room_is_made_before_anything_live_is_trimmed() -> None:
    """What has ended goes first: its bytes come back once, whoever still reads it."""
    size = ENTRY_BYTES + len(b"{}")
    ended = [make_log()]
    budget = make_budget(3 * size, lambda wanted: ended.pop().discard() if ended else None)
    ended[0] = gone = make_log(budget=budget)
    gone.append("result", {})
    gone.append("done", {})
    live = make_log(budget=budget)
    for _ in range(3):
        live.append("chunk", {})
    assert numbers(live) == [1, 2, 3]
    assert numbers(gone) == [1, 2]
    assert budget.used == 3 * size


# ------------------------------------------------------------------- other threads


def test_a_reader_in_a_thread_sees_each_event_once_and_in_order() -> None:
    """While the log grows and is trimmed beyond it: outcomes always, and no event twice."""
    log = make_log(max_events=300)
    events = 20_000
    seen: list[int] = []
    outcomes: set[int] = set()

    def read() -> None:
        cursor = 0
        while not log.is_ended or cursor < log.last:
            for entry in log.read(cursor, max_bytes=500):
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
    gaps: list[tuple[int, int, int]] = []

    def read() -> None:
        cursor = 0
        while not log.is_ended or cursor < log.last:
            for entry in log.read(cursor, max_bytes=200):
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
