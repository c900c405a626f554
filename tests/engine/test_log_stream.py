"""The log between a generator and its viewer: it holds little, and whoever is ahead waits."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from streaming.core.entry import Entry
from streaming.core.event import Event
from streaming.engine.log_stream import MAX_BYTES, MAX_EVENTS, LogClosed, StreamLog
from tests.fan_out import PATIENCE, until

EVERYTHING = 1 << 30


def wake() -> None:
    """What a viewer would be woken by."""


def read(log: StreamLog, *, max_bytes: int = EVERYTHING) -> list[Entry]:
    return list(log.read(0, max_bytes=max_bytes).entries)


async def test_what_was_written_is_read_once() -> None:
    """In order, numbered from 1, with all that the events say."""
    log = StreamLog()
    await log.append(Event("tick", {"n": 1}, id="a", retry_ms=5))
    await log.append(Event(data="text"))
    first, second = read(log)
    assert (first.n, first.name, first.id, first.retry_ms, first.is_text) == (
        1,
        "tick",
        "a",
        5,
        False,
    )
    assert (second.n, second.payload, second.is_text) == (2, b"text", True)
    assert read(log) == []
    assert (log.last, log.end_offset) == (2, second.offset)


async def test_a_reading_is_bounded_and_never_empty() -> None:
    """It ends once its payloads pass the bound."""
    log = StreamLog()
    for n in range(5):
        await log.append(Event(data=n))
    assert [len(read(log, max_bytes=size)) for size in (0, 1, 99)] == [1, 2, 2]


async def test_a_viewer_is_woken_for_each_event_and_for_the_end() -> None:
    """Until it has gone."""
    log = StreamLog()
    woken: list[tuple[int, bool]] = []
    log.add_wake(lambda: woken.append((log.last, log.is_ended)))
    await log.append(Event())
    log.end()
    await until(lambda: len(woken) == 2)
    assert woken == [(1, False), (1, True)]
    log.remove_wake(wake)
    log.end()
    await asyncio.sleep(0)
    assert len(woken) == 2


# ------------------------------------------------------------------ being ahead


async def fill(log: StreamLog, events: int) -> None:
    for n in range(events):
        await log.append(Event(data=n))


async def test_a_writer_on_the_loop_waits_for_room() -> None:
    """Never more than `MAX_EVENTS` ahead; it goes on as the viewer reads."""
    log = StreamLog()
    writing = asyncio.create_task(fill(log, MAX_EVENTS + 10))
    await until(lambda: log.last == MAX_EVENTS)
    for _ in range(10):
        await asyncio.sleep(0)
    assert log.last == MAX_EVENTS
    assert len(read(log, max_bytes=4)) == 5
    await until(lambda: log.last == MAX_EVENTS + 5)
    assert not writing.done()
    read(log)
    await writing
    assert log.last == MAX_EVENTS + 10


async def test_a_writer_in_a_thread_waits_for_room() -> None:
    """The same, without the loop."""
    log = StreamLog()

    def fill() -> None:
        for n in range(MAX_EVENTS + 10):
            log.append_from_thread(Event(data=n))

    writing = threading.Thread(target=fill, daemon=True)
    writing.start()
    await until(lambda: log.last == MAX_EVENTS)
    writing.join(0.1)
    assert (log.last, writing.is_alive()) == (MAX_EVENTS, True)
    read(log)
    await asyncio.to_thread(writing.join, PATIENCE)
    assert log.last == MAX_EVENTS + 10


async def test_bytes_are_a_bound_too() -> None:
    """One event may pass it, and then the writer waits."""
    log = StreamLog()
    large = Event(data="x" * (MAX_BYTES - 1))
    assert [log.append_nowait(large) for _ in range(3)] == [True, True, False]
    read(log, max_bytes=0)
    read(log, max_bytes=0)
    assert log.append_nowait(large)


# ----------------------------------------------------------------- a viewer that left


async def test_a_writer_that_waits_on_the_loop_is_told() -> None:
    """It is not left waiting for room that nobody will make."""
    log = StreamLog()
    log.add_wake(wake)
    writing = asyncio.create_task(fill(log, MAX_EVENTS + 1))
    await until(lambda: log.last == MAX_EVENTS)
    log.remove_wake(wake)
    with pytest.raises(LogClosed):
        await asyncio.wait_for(writing, PATIENCE)


async def test_a_writer_that_waits_in_a_thread_is_told() -> None:
    """The same, without the loop."""
    log = StreamLog()
    log.add_wake(wake)
    for _ in range(MAX_EVENTS):
        log.append_nowait(Event())
    writing = asyncio.create_task(asyncio.to_thread(log.append_from_thread, Event()))
    await asyncio.sleep(0.05)
    log.remove_wake(wake)
    with pytest.raises(LogClosed):
        await asyncio.wait_for(writing, PATIENCE)


@pytest.mark.parametrize("append", [StreamLog.append_nowait, StreamLog.append_from_thread])
async def test_nothing_is_written_for_nobody(append: Callable[[StreamLog, Event], object]) -> None:
    """The next event tells the writer."""
    log = StreamLog()
    log.remove_wake(wake)
    with pytest.raises(LogClosed):
        append(log, Event())
    with pytest.raises(LogClosed):
        await log.append(Event())


def test_a_log_outlives_its_loop() -> None:
    """A writer in a thread that ends later has nobody to wake, and no error."""

    async def make() -> StreamLog:
        return StreamLog()

    log = asyncio.run(make())
    log.append_from_thread(Event())
    log.end()
    assert len(read(log)) == 1


# ------------------------------------------------------------------- both at once


@pytest.mark.parametrize("is_thread", [False, True])
async def test_nothing_is_lost_between_a_writer_and_a_reader_in_threads(is_thread: bool) -> None:
    """Thousands of events, each once and in order, with the writer waiting again and again."""
    log = StreamLog()
    events = 2000
    seen: list[int] = []

    def read_all() -> None:
        while not log.is_ended or log.last > len(seen):
            seen.extend(entry.n for entry in log.read(0, max_bytes=50).entries)

    reading = asyncio.create_task(asyncio.to_thread(read_all))
    if is_thread:

        def write() -> None:
            for n in range(events):
                log.append_from_thread(Event(data=n))

        await asyncio.to_thread(write)
    else:
        await fill(log, events)
    log.end()
    await asyncio.wait_for(reading, PATIENCE)
    assert seen == list(range(1, events + 1))
