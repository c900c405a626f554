"""A viewer: stepped by its driver, woken by its log, closed once however its end comes."""

import asyncio
import gc
import random
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from streaming.core.body import BodyLimits, ShutdownReason, Step, StreamBody
from streaming.core.wire import WIRES
from streaming.engine import viewer as viewer_module
from streaming.engine.alarms import Alarms
from streaming.engine.bridge import drive_in_thread
from streaming.engine.driver import drive
from streaming.engine.log_memory import LogBudget, MemoryLog
from streaming.engine.viewer import Viewer
from tests.fan_out import PATIENCE, until

LIMITS = BodyLimits(retry_ms=1, ping_interval=60.0, max_lag_events=1_000_000, max_lag_bytes=1 << 30)


@pytest.fixture(autouse=True)
def never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A viewer is closed for what happens to it, not for its time to start."""
    monkeypatch.setattr(viewer_module, "START_TIMEOUT", 1000.0)


def make_log() -> MemoryLog:
    budget = LogBudget(max_bytes=1 << 30, make_room=lambda size: None)
    return MemoryLog("run", budget=budget, max_events=100_000, max_bytes=1 << 30)


def make_viewer(log: MemoryLog, *, limits: BodyLimits = LIMITS) -> Viewer:
    return Viewer(
        StreamBody(log, wire=WIRES["ndjson"], limits=limits, now=time.monotonic()),
        log=log,
        alarms=Alarms(),
    )


class Closings:
    """Counts how often a viewer was closed, and by which threads."""

    def __init__(self, viewer: Viewer) -> None:
        self.threads: list[threading.Thread] = []
        viewer.on_close(self._receive)

    def _receive(self) -> None:
        self.threads.append(threading.current_thread())


async def first(pieces: AsyncGenerator[bytes, None]) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await anext(pieces)


# ----------------------------------------------------------------------- closing


async def test_it_is_closed_once() -> None:
    """On the loop, however many ask for it and from wherever."""
    viewer = make_viewer(make_log())
    closings = Closings(viewer)
    for _ in range(3):
        await asyncio.to_thread(viewer.close)
    viewer.close()
    await until(lambda: bool(closings.threads))
    viewer.close_on_loop()
    viewer.close()
    await asyncio.sleep(0)
    assert closings.threads == [threading.current_thread()]


async def test_what_is_to_be_closed_after_the_end_is_closed_at_once() -> None:
    """Such as a socket's watch that was made while the client left."""
    viewer = make_viewer(make_log())
    viewer.close_on_loop()
    assert Closings(viewer).threads


async def test_a_closed_viewer_holds_its_log_no_longer() -> None:
    """Nor does the log hold the viewer."""
    log = make_log()
    viewer = make_viewer(log)
    assert len(log._wakes) == 1
    viewer.close_on_loop()
    assert not log._wakes


def test_it_can_be_closed_after_its_loop() -> None:
    """A worker's thread may come back from its last write late."""

    async def make() -> Viewer:
        return make_viewer(make_log())

    asyncio.run(make()).close()


DRIVERS = [drive, drive_in_thread]


async def test_a_viewer_that_nobody_begins_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something may hold its generator that never starts it, such as the traceback of an error."""
    monkeypatch.setattr(viewer_module, "START_TIMEOUT", 0.05)
    left, begun = make_viewer(make_log()), make_viewer(make_log())
    begun.step(time.monotonic())
    closings, others = Closings(left), Closings(begun)
    await until(lambda: bool(closings.threads))
    assert left.step(time.monotonic()) is None
    assert not others.threads
    begun.close_on_loop()


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("ask", ["close", "drop"])
async def test_a_generator_that_was_never_started_closes_its_viewer(
    driver: Callable[[Viewer], Any], ask: str
) -> None:
    """A HEAD, an error before the first piece: it runs no `finally`, and is dropped."""
    viewer = make_viewer(make_log())
    closings = Closings(viewer)
    pieces = driver(viewer)
    if ask == "close":
        await pieces.aclose() if isinstance(pieces, AsyncGenerator) else pieces.close()
    del pieces
    gc.collect()
    await until(lambda: bool(closings.threads))
    assert len(closings.threads) == 1


async def test_a_generator_that_ends_closes_its_viewer() -> None:
    """With everything written."""
    log = make_log()
    log.append("start", {})
    log.append("done", {})
    viewer = make_viewer(log)
    closings = Closings(viewer)
    pieces = [piece async for piece in drive(viewer)]
    assert b"done" in b"".join(pieces)
    assert len(closings.threads) == 1


@pytest.mark.parametrize("how", ["aclose", "cancel"])
async def test_a_generator_that_is_left_closes_its_viewer(how: str) -> None:
    """While it waits for its log, or for its client."""
    viewer = make_viewer(make_log())
    closings = Closings(viewer)
    pieces = drive(viewer)
    await first(pieces)
    if how == "aclose":
        await pieces.aclose()
    else:
        waiting = asyncio.create_task(first(pieces))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert len(closings.threads) == 1


@pytest.mark.parametrize("is_writing", [True, False])
async def test_a_response_that_is_cancelled_lets_go_of_everything(is_writing: bool) -> None:
    """As when a client of an ASGI server leaves: neither generator nor viewer hold each other."""
    held: list[weakref.ref[Viewer]] = []
    begun = asyncio.Event()

    async def respond() -> None:
        viewer = make_viewer(make_log())
        held.append(weakref.ref(viewer))
        pieces = drive(viewer)
        await anext(pieces)
        begun.set()
        await (asyncio.Event().wait() if is_writing else anext(pieces))

    responding = asyncio.create_task(respond())
    await begun.wait()
    await asyncio.sleep(0)
    responding.cancel()
    await asyncio.wait([responding])
    del responding

    def is_gone() -> bool:
        gc.collect()
        return held[0]() is None

    await until(is_gone)


async def test_a_generator_that_has_ended_holds_no_viewer() -> None:
    """However long a framework holds it."""
    log = make_log()
    log.append("done", {})
    viewer = make_viewer(log)
    pieces, held = drive(viewer), weakref.ref(viewer)
    await collect(pieces)
    del viewer
    gc.collect()
    assert held() is None


# ------------------------------------------------------------------- being driven


async def test_the_preamble_comes_at_once_and_events_as_they_are_appended() -> None:
    """One piece for all that is there, and nothing while there is nothing."""
    log = make_log()
    pieces = drive(make_viewer(log))
    assert b"open" in await first(pieces)
    waiting = asyncio.create_task(first(pieces))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    log.append("chunk", {"data": 1})
    log.append("chunk", {"data": 2})
    assert (await waiting).count(b"\n") == 2
    await pieces.aclose()


async def test_a_silent_stream_beats() -> None:
    """Each time that it was silent for so long."""
    limits = BodyLimits(retry_ms=1, ping_interval=0.02, max_lag_events=10, max_lag_bytes=1000)
    pieces = drive(make_viewer(make_log(), limits=limits))
    beats = [await first(pieces) for _ in range(3)][1:]
    assert all(b"ping" in beat for beat in beats)
    await pieces.aclose()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_client_that_has_gone_ends_the_stream(driver: Callable[[Viewer], Any]) -> None:
    """Without another byte, and its driver is woken for it."""
    viewer = make_viewer(make_log())
    closings = Closings(viewer)
    rest = await rest_after(viewer, driver, viewer.receive_gone)
    assert rest == []
    await until(lambda: len(closings.threads) == 1)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_stream_that_is_shut_down_says_when_to_come_back(
    driver: Callable[[Viewer], Any],
) -> None:
    """And then ends."""
    viewer = make_viewer(make_log())
    rest = await rest_after(viewer, driver, lambda: viewer.shut_down("drain"))
    assert b'"reason":"drain"' in b"".join(rest)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_beat_can_be_hastened(driver: Callable[[Viewer], Any]) -> None:
    """So that a client that has gone answers it."""
    viewer = make_viewer(make_log())

    def hasten_then_end() -> None:
        viewer.hasten_beat()
        asyncio.get_running_loop().call_later(0.1, viewer.receive_gone)

    rest = await rest_after(viewer, driver, hasten_then_end)
    assert [b"ping" in piece for piece in rest] == [True]


async def rest_after(
    viewer: Viewer, driver: Callable[[Viewer], Any], happens: Callable[[], object]
) -> list[bytes]:
    """What a driver gives after its first piece, when something happens while it waits."""
    pieces = driver(viewer)
    if isinstance(pieces, AsyncGenerator):
        await first(pieces)
        reading: asyncio.Task[list[bytes]] = asyncio.create_task(collect(pieces))
    else:
        await asyncio.to_thread(next, pieces)
        reading = asyncio.create_task(asyncio.to_thread(list, pieces))
    await asyncio.sleep(0.05)
    happens()
    async with asyncio.timeout(PATIENCE):
        return await reading


async def collect(pieces: AsyncGenerator[bytes, None]) -> list[bytes]:
    return [piece async for piece in pieces]


async def test_a_write_that_goes_on_can_be_told() -> None:
    """From when the piece was handed over to when the next is asked for."""
    log = make_log()
    viewer = make_viewer(log)
    pieces = drive(viewer)
    before = time.monotonic()
    await first(pieces)
    assert viewer.writing_since is not None
    assert before <= viewer.writing_since <= time.monotonic()
    waiting = asyncio.create_task(first(pieces))
    await asyncio.sleep(0.01)
    assert viewer.writing_since is None
    log.append("chunk", {})
    await waiting
    await pieces.aclose()


async def test_to_abort_is_to_cancel_who_writes() -> None:
    """The task that the framework sends in comes back with a cancellation."""
    viewer = make_viewer(make_log())
    closings = Closings(viewer)

    async def respond() -> None:
        async for _ in drive(viewer):
            await asyncio.Event().wait()  # a client that takes nothing

    responding = asyncio.create_task(respond())
    await until(lambda: viewer.writing_since is not None)
    viewer.abort()
    await asyncio.wait([responding])
    assert responding.cancelled()
    await until(lambda: bool(closings.threads))


async def test_a_viewer_that_always_has_more_keeps_nobody_from_the_loop() -> None:
    """The loop turns between any two pieces."""

    class Endless:
        def step(self, now: float) -> Step:
            return b"x"

        def shut_down(self, reason: ShutdownReason) -> None:
            raise NotImplementedError

        def hasten_beat(self) -> None:
            raise NotImplementedError

    pieces = drive(Viewer(Endless(), log=make_log(), alarms=Alarms()))
    written = [0]

    async def write() -> None:
        async for _ in pieces:
            written[0] += 1

    writing = asyncio.create_task(write())
    seen = []
    for _ in range(50):
        await asyncio.sleep(0)
        seen.append(written[0])
    writing.cancel()
    await asyncio.wait([writing])
    assert max(after - before for before, after in pairwise(seen)) <= 1


# ------------------------------------------------------- wakes and threads at once


@pytest.mark.parametrize("seed", range(4))
async def test_no_wake_is_lost_between_the_loop_and_a_thread(seed: int) -> None:
    """Appends at any moment: each event reaches every reader once, in order, without a beat."""
    rolls = random.Random(seed)
    log = make_log()
    readers = [
        asyncio.create_task(asyncio.to_thread(read_numbers, drive_in_thread(make_viewer(log))))
        for _ in range(3)
    ]
    readers.append(asyncio.create_task(collect_numbers(drive(make_viewer(log)))))
    events = 1500
    for _ in range(events - 1):
        log.append("chunk", {})
        for _ in range(rolls.choice([0, 0, 1, 5])):
            await asyncio.sleep(0)
        if rolls.random() < 0.02:
            await asyncio.sleep(0.001)
    log.append("done", {})
    async with asyncio.timeout(PATIENCE):
        for numbers in await asyncio.gather(*readers):
            assert numbers == list(range(1, events + 1))
    assert not log._wakes


def numbers_in(data: bytes) -> Iterator[int]:
    for line in data.splitlines():
        _, found, rest = line.partition(b'"id":"run-')
        if found:
            yield int(rest.partition(b'"')[0])


def read_numbers(pieces: Iterator[bytes]) -> list[int]:
    return list(numbers_in(b"".join(pieces)))


async def collect_numbers(pieces: AsyncGenerator[bytes, None]) -> list[int]:
    return list(numbers_in(b"".join(await collect(pieces))))
