"""The battery that every log passes: numbers without gaps, what goes when it is full, who is told.

Whatever a test asks of a log in Redis is asked of a copy as well that another process would read
(`tests.log_battery.held`).
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming.core import codec
from streaming.core.body import BodyLimits, StreamBody
from streaming.core.wire import WIRES
from streaming.engine.log_memory import ENTRY_BYTES, READ_EVENTS, LogBudget, LogFull
from tests.log_battery import (
    EVERYTHING,
    START_SIZE,
    Logs,
    MemoryLogs,
    RedisLogs,
    held,
    make_budget,
    names,
    numbers,
    read_entries,
)


@pytest.fixture(params=["memory", "redis"])
def logs(request: pytest.FixtureRequest) -> Logs:
    if request.param == "memory":
        return MemoryLogs()
    redis_logs: RedisLogs = request.getfixturevalue("redis_logs")
    return redis_logs


# --------------------------------------------------------------- appending, reading


async def test_events_are_numbered_from_one(logs: Logs) -> None:
    """Each with the id that names it, and its data as JSON on one line."""
    written = await logs.make()
    assert [written.writer.append(name, {"a": "ü"}) for name in ("chunk", "result")] == [2, 3]
    _, second, third = await held(written)
    run = written.log.read(0, max_bytes=1).entries[0].id.removesuffix("-1")
    assert second == (2, "chunk", b'{"a":"\xc3\xbc"}', f"{run}-2")
    assert third == (3, "result", b'{"a":"\xc3\xbc"}', f"{run}-3")


async def test_many_events_come_as_they_were_given(logs: Logs) -> None:
    """Byte for byte and in order, however many are appended before the first can be read."""
    payloads = [b'{ "n":%d,"data":"\xf0\x9f\x98\x80 \\u0000"}' % n for n in range(1500)]
    written = await logs.make(max_events=2000)
    written.writer.extend("chunk", payloads[:700])
    written.writer.append("attempt", {})
    written.writer.extend("chunk", payloads[700:])
    events = [event[:3] for event in await held(written)]
    assert [n for n, *_ in events] == list(range(1, 1503))
    assert [payload for _, name, payload in events if name == "chunk"] == payloads
    assert events[701] == (702, "attempt", b"{}")


async def test_a_reader_gets_what_follows_its_number(logs: Logs) -> None:
    """Nothing where it has all, also beyond the end."""
    written = await logs.make()
    written.writer.extend("chunk", [b"{}", b"{}"])
    await written.settle()
    for log in (written.log, await written.reread()):
        assert [entry.n for entry in read_entries(log, 1)] == [2, 3]
        assert not log.read(3, max_bytes=EVERYTHING).entries
        assert not log.read(99, max_bytes=EVERYTHING).entries


@pytest.mark.parametrize("max_bytes", [0, 1, 50])
async def test_a_reading_is_bounded_and_never_empty(logs: Logs, max_bytes: int) -> None:
    """It ends once its payloads pass the bound, and gives one event at least."""
    written = await logs.make()
    written.writer.extend("chunk", [b'{"data":1}'] * 20)
    await written.settle()
    for log in (written.log, await written.reread()):
        sizes = [len(log.read(after, max_bytes=max_bytes).entries) for after in range(21)]
        assert min(sizes) == 1
        assert max(sizes) <= 1 + max_bytes // len(b'{"data":1}')
        read = read_entries(log, max_bytes=max_bytes)
        assert [entry.n for entry in read] == list(range(1, 22))


async def test_a_log_ends_with_done(logs: Logs) -> None:
    """And not before; nothing is told of the end but this, once."""
    written = await logs.make()
    ends: list[int] = []
    written.log.on_end = lambda: ends.append(written.log.last)
    written.writer.append("result", {})
    await written.settle()
    assert not written.log.is_ended
    written.writer.append("done", {})
    await written.settle()
    assert (written.log.is_ended, ends) == (True, [3])
    assert (await written.reread()).is_ended


@pytest.mark.parametrize("data", [{"a": "\ud800"}, {"a": object()}])
async def test_what_has_no_json_form_is_refused_whole(logs: Logs, data: dict[str, Any]) -> None:
    """Nothing is counted, numbered or said."""
    written = await logs.make()
    before = (written.log.bytes_held, written.log.end_offset)
    woken: list[int] = []
    written.log.add_wake(lambda: woken.append(1))
    with pytest.raises((ValueError, TypeError)):
        written.writer.append("chunk", data)
    assert await numbers(written) == [1]
    assert (written.log.bytes_held, written.log.end_offset, woken) == (*before, [])


async def test_who_asked_for_it_is_woken_when_there_is_more(logs: Logs) -> None:
    """With all there to be read that was appended at once; whoever takes it back is left alone."""
    written = await logs.make()
    seen: list[int] = []

    def wake() -> None:
        seen.append(written.log.last)

    written.log.add_wake(wake)
    written.writer.extend("chunk", [b"{}"] * 3)
    await written.settle()
    written.writer.append("result", {})
    await written.settle()
    written.log.remove_wake(wake)
    written.log.remove_wake(wake)
    written.writer.append("chunk", {})
    await written.settle()
    assert seen == [4, 5]


async def test_offsets_count_all_bytes_that_ever_were(logs: Logs) -> None:
    """Those that were trimmed as well, so that a viewer's lag is a difference of two."""
    written = await logs.make(max_events=3)
    for size in (10, 20, 30, 40):
        written.writer.extend("chunk", [b'"' + b"x" * (size - 2) + b'"'])
        await written.settle()
    entries = read_entries(written.log)
    assert [entry.offset - START_SIZE for entry in entries] == [0, 60, 100]
    assert written.log.end_offset == START_SIZE + 100
    copied = read_entries(await written.reread())
    assert copied[-1].offset - copied[-2].offset == 40


# ----------------------------------------------------------------------- trimming


async def test_the_oldest_chunks_and_attempts_go_first(logs: Logs) -> None:
    """`start` and the outcomes stay, in their order among what is left."""
    written = await logs.make(max_events=4)
    for name in ("attempt", "chunk", "result", "chunk", "chunk"):
        written.writer.append(name, {})
    assert [event[:2] for event in await held(written)] == [
        (1, "start"),
        (4, "result"),
        (5, "chunk"),
        (6, "chunk"),
    ]
    assert (written.log.trimmed_through, written.log.last) == (3, 6)


async def test_bytes_are_a_bound_too(logs: Logs) -> None:
    """Payloads, and a fixed price for each event."""
    start, chunk = START_SIZE + ENTRY_BYTES, len(b'{"a":1}') + ENTRY_BYTES
    written = await logs.make(max_bytes=start + 2 * chunk)
    for n in range(5):
        written.writer.append("chunk", {"a": n})
        await written.settle()
        assert written.log.bytes_held <= written.log.max_bytes
    assert await numbers(written) == [1, 5, 6]


async def test_a_log_that_can_trim_nothing_is_full(logs: Logs) -> None:
    """It says so, and stays as it was."""
    written = await logs.make(max_events=2)
    written.writer.append("result", {})
    for name in ("chunk", "failure"):
        with pytest.raises(LogFull):
            written.writer.append(name, {})
    assert await numbers(written) == [1, 2]
    assert written.writer.append("chunk", {}, force=True) == 3


async def test_last_words_always_fit(logs: Logs) -> None:
    """A full log trims for them first, then takes them anyhow."""
    written = await logs.make(max_events=3)
    for name in ("chunk", "chunk"):
        written.writer.append(name, {})
    for name in ("failure", "failure", "done"):
        written.writer.append(name, {}, force=True)
    assert await names(written) == ["start", "failure", "failure", "done"]
    assert await numbers(written) == [1, 4, 5, 6]


async def test_nothing_is_trimmed_for_what_does_not_fit(logs: Logs) -> None:
    """Be it larger than the log, or than all of it that may go."""
    written = await logs.make(max_bytes=4000)
    written.writer.append("result", {"body": "x" * 2000})
    written.writer.append("chunk", {})
    for size in (4000, 2000):
        with pytest.raises(LogFull):
            written.writer.append("result", {"body": "x" * size})
    assert await numbers(written) == [1, 2, 3]


async def test_of_many_events_those_go_in_that_fit(logs: Logs) -> None:
    """What is before the first that does not is there to be read."""
    written = await logs.make(max_bytes=4000)
    with pytest.raises(LogFull):
        written.writer.extend("result", [b"{}", b'"%b"' % (b"x" * 5000), b"[]"])
    assert [event[2] for event in await held(written)][1:] == [b"{}"]


async def test_a_reading_that_ends_among_the_outcomes_does_not_skip_any(logs: Logs) -> None:
    """More outcomes than one reading gives stand before the chunks that are held."""
    written = await logs.make(max_events=READ_EVENTS + 11)
    for _ in range(READ_EVENTS + 9):
        written.writer.append("result", {})
    for _ in range(5):
        written.writer.append("chunk", {})
    assert await numbers(written) == [*range(1, READ_EVENTS + 11), READ_EVENTS + 15]


async def test_logs_share_a_budget(logs: Logs) -> None:
    """One that is full because of others trims what it has itself; all bytes come back."""
    start, chunk = START_SIZE + ENTRY_BYTES, len(b"{}") + ENTRY_BYTES
    budget = make_budget(2 * start + 4 * chunk)
    first, second = await logs.make(budget=budget), await logs.make(budget=budget)
    for written in (first, second):
        written.writer.extend("chunk", [b"{}", b"{}"])
        await written.settle()
    first.writer.append("chunk", {})
    await first.settle()
    assert [entry.n for entry in read_entries(first.log)] == [1, 3, 4]
    assert await numbers(second) == [1, 2, 3]
    assert budget.used == first.log.bytes_held + second.log.bytes_held == 2 * start + 4 * chunk
    first.log.discard()
    second.log.discard()
    assert budget.used == 0


async def test_a_budget_that_others_use_up_is_full(logs: Logs) -> None:
    """Who has nothing to trim is refused, and what was refused costs nothing."""
    start = START_SIZE + ENTRY_BYTES
    budget = make_budget(2 * start + 100)
    first, second = await logs.make(budget=budget), await logs.make(budget=budget)
    for written in (first, second):
        with pytest.raises(LogFull):
            written.writer.append("chunk", {})
    assert await numbers(first) == await numbers(second) == [1]
    assert budget.used == 2 * start


async def test_room_is_made_before_anything_live_is_trimmed(logs: Logs) -> None:
    """What has ended goes first: its bytes come back once, whoever still reads it."""
    start, chunk = START_SIZE + ENTRY_BYTES, len(b"{}") + ENTRY_BYTES
    ended: list[Any] = []
    budget = LogBudget(
        max_bytes=2 * start + 2 * chunk,
        make_room=lambda size: ended.pop().log.discard() if ended else None,
    )
    gone, live = await logs.make(budget=budget), await logs.make(budget=budget)
    gone.writer.append("done", {})
    await gone.settle()
    ended.append(gone)
    for _ in range(3):
        live.writer.append("chunk", {})
        await live.settle()
    assert await numbers(live) == [1, 2, 3, 4]
    assert await numbers(gone) == [1, 2]
    assert budget.used == live.log.bytes_held


# ------------------------------------------------------------------------ viewers

LIMITS = BodyLimits(retry_ms=1, ping_interval=60.0, max_lag_events=3, max_lag_bytes=EVERYTHING)


def write_all(body: StreamBody) -> list[str]:
    """The names of all events that a body writes now, and the data of those without an id."""
    written = b""
    while isinstance(piece := body.step(0.0), bytes):
        written += piece
    lines = [codec.decode(line) for line in written.splitlines()]
    return [line["event"] if "id" in line else str(line["data"]) for line in lines]


def view(written: Any) -> StreamBody:
    return StreamBody(written.log, wire=WIRES["ndjson"], limits=LIMITS, now=0.0)


async def test_a_viewer_whose_place_is_gone_is_told(logs: Logs) -> None:
    """It gets a `reset`, and then all that is left from the start on."""
    written = await logs.make(max_events=3)
    body = view(written)
    written.writer.append("chunk", {})
    await written.settle()
    assert write_all(body)[1:] == ["start", "chunk"]
    for name in ("chunk", "result", "chunk"):
        written.writer.append(name, {})
        await written.settle()
    assert write_all(body) == ["{'reason': 'trimmed'}", "start", "result", "chunk"]


async def test_a_viewer_that_is_behind_is_closed(logs: Logs) -> None:
    """Once more was appended than it may have still to read, be some of it trimmed."""
    written = await logs.make(max_events=3)
    body = view(written)
    write_all(body)
    written.writer.extend("chunk", [b"{}"] * 4)
    await written.settle()
    assert write_all(body) == ["{'reason': 'lagging', 'reconnect_ms': 1}"]


# ---------------------------------------------------------------------- properties

STEPS = st.tuples(
    st.sampled_from(["chunk", "chunk", "chunk", "attempt", "result", "failure"]),
    st.lists(st.integers(0, 400), min_size=1, max_size=6),
    st.booleans(),
    st.booleans(),
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(STEPS, max_size=25),
    max_events=st.integers(1, 12),
    max_bytes=st.integers(ENTRY_BYTES + START_SIZE, 4000),
)
async def test_all_logs_hold_the_same(
    redis_logs: RedisLogs,
    steps: list[tuple[str, list[int], bool, bool]],
    max_events: int,
    max_bytes: int,
) -> None:
    """Whatever is appended, one by one or many at once, and refused; and so do those read anew."""
    bounds = {"max_events": max_events, "max_bytes": max_bytes}
    both = [await logs.make(**bounds) for logs in (MemoryLogs(), redis_logs)]
    for name, sizes, is_last_word, is_settled in steps:
        force = is_last_word and name == "failure"
        payloads = [b'"%b"' % (b"x" * size) for size in sizes]
        refused = []
        for written in both:
            try:
                if force or len(payloads) == 1:
                    written.writer.append(name, {"x": "x" * sizes[0]}, force=force)
                else:
                    written.writer.extend(name, payloads)
            except LogFull:
                refused.append(written)
        assert refused in ([], both)
        if is_settled:
            await both[1].settle()
    in_memory, in_redis = [[event[:3] for event in await held(written)] for written in both]
    assert in_memory == in_redis
    assert both[0].log.trimmed_through == both[1].log.trimmed_through
    assert both[0].log.bytes_held == both[1].log.bytes_held
