"""Driving a body in a coroutine whose server takes pieces without one."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from streaming.core.body import BodyLimits, StreamBody
from streaming.core.event import Event
from streaming.core.wire import WIRES
from streaming.engine.alarms import Alarms
from streaming.engine.driver import drive
from streaming.engine.log_memory import LogBudget, MemoryLog
from streaming.engine.log_stream import StreamLog
from streaming.engine.viewer import Viewer
from tests.fan_out import PATIENCE, until

LIMITS = BodyLimits(retry_ms=1, ping_interval=60.0, max_lag_events=1000, max_lag_bytes=1 << 30)


class Server:
    """Takes pieces, as long as it is told to."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.is_taking = True
        self.is_broken = False

    def take(self, piece: bytes) -> bool:
        if self.is_broken:
            raise RuntimeError("closed")
        if self.is_taking:
            self.taken.append(piece)
        return self.is_taking


class Driven:
    """A log, one viewer of it, and its generator, which waits in a task."""

    def __init__(self, *, limits: BodyLimits = LIMITS, alarms: Alarms | None = None) -> None:
        budget = LogBudget(max_bytes=1 << 30, make_room=lambda size: None)
        self.log = MemoryLog("run", budget=budget, max_events=1000, max_bytes=1 << 30)
        body = StreamBody(self.log, wire=WIRES["ndjson"], limits=limits, now=0.0)
        self.viewer = Viewer(body, log=self.log, alarms=alarms or Alarms())
        self.server = Server()
        self.pieces: AsyncGenerator[bytes, None] = drive(self.viewer, take=self.server.take)
        self.given: list[bytes] = []

    async def collect(self) -> None:
        async for piece in self.pieces:
            self.given.append(piece)


async def waiting(**options: Any) -> tuple[Driven, asyncio.Task[None]]:
    """A viewer that was given its preamble, and waits."""
    driven = Driven(**options)
    task = asyncio.create_task(driven.collect())
    await until(lambda: bool(driven.given))
    await asyncio.sleep(0)
    return driven, task


def numbers(pieces: list[bytes]) -> Iterator[bytes]:
    for line in b"".join(pieces).splitlines():
        if b'"n":' in line:
            yield line.partition(b'"n":')[2].rstrip(b"}")


async def test_what_comes_while_it_waits_is_taken() -> None:
    """Its task goes on waiting."""
    driven, task = await waiting()
    driven.log.append("chunk", {"n": 1})
    await until(lambda: bool(driven.server.taken))
    driven.log.append("chunk", {"n": 2})
    await until(lambda: len(driven.server.taken) == 2)
    assert len(driven.given) == 1
    driven.log.append("done", {})
    async with asyncio.timeout(PATIENCE):
        await task
    assert list(numbers(driven.server.taken)) == [b"1", b"2"]


async def test_what_is_not_taken_is_given() -> None:
    """The server's buffer is full: the generator brings it, and waits for the client."""
    driven, task = await waiting()
    driven.server.is_taking = False
    driven.log.append("chunk", {"n": 1})
    await until(lambda: len(driven.given) == 2)
    driven.server.is_taking = True
    driven.log.append("chunk", {"n": 2})
    await until(lambda: bool(driven.server.taken))
    assert list(numbers(driven.given)) == [b"1"]
    assert list(numbers(driven.server.taken)) == [b"2"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_events_of_one_turn_are_one_write() -> None:
    """However many were appended."""
    driven, task = await waiting()
    for n in range(10):
        driven.log.append("chunk", {"n": n})
    await until(lambda: bool(driven.server.taken))
    assert len(driven.server.taken) == 1
    assert len(list(numbers(driven.server.taken))) == 10
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_beat_and_an_event_are_both_written() -> None:
    """The event comes between the beat's step and its write."""
    alarms = Alarms()
    driven, task = await waiting(alarms=alarms)
    driven.viewer._body.hasten_beat()
    driven.viewer._alarm.ring()  # the time of the beat has come
    driven.log.append("chunk", {"n": 1})
    await until(lambda: b'"n":1' in b"".join(driven.server.taken))
    assert b"ping" in b"".join(driven.server.taken)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_fault_of_a_body_is_that_viewers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others of the same turn are written, and who waits for it is told."""
    alarms = Alarms()
    (broken, task), (sound, other) = await waiting(alarms=alarms), await waiting(alarms=alarms)

    def fail(now: float) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(broken.viewer._body, "step", fail)
    broken.log.append("chunk", {"n": 1})
    sound.log.append("chunk", {"n": 1})
    await until(lambda: bool(sound.server.taken))
    with pytest.raises(RuntimeError, match="broken"):
        await task
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)


async def test_a_server_that_fails_to_take_fails_the_driver_alone() -> None:
    """Such as by a transport that has been closed."""
    driven, task = await waiting()
    driven.server.is_broken = True
    driven.log.append("chunk", {"n": 1})
    with pytest.raises(RuntimeError, match="closed"):
        await task


async def test_a_viewer_that_is_closed_for_it_says_its_last_words() -> None:
    """At the end of the engine, which closes what its driver would have closed later."""
    driven, task = await waiting()
    driven.viewer.shut_down("drain")
    driven.viewer.close_on_loop()
    async with asyncio.timeout(PATIENCE):
        await task
    assert b"shutdown" in b"".join([*driven.given, *driven.server.taken])


async def test_a_log_holds_no_viewer_that_has_ended() -> None:
    """Whichever way it was woken by."""
    driven, task = await waiting()
    assert len(driven.log._wakes) == 1
    driven.log.append("done", {})
    await task
    assert not driven.log._wakes


async def test_a_stream_of_ones_own_is_driven_to_its_end() -> None:
    """Its log takes the driver's coming for no viewer's going."""
    log, server = StreamLog(), Server()
    body = StreamBody(log, wire=WIRES["sse"], limits=LIMITS, now=0.0)
    pieces = drive(Viewer(body, log=log, alarms=Alarms()), take=server.take)
    given: list[bytes] = []

    async def collect() -> None:
        async for piece in pieces:
            given.append(piece)  # noqa: PERF401 - what has come is looked at meanwhile

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        group.create_task(collect())
        for n in range(3):
            await until(lambda: bool(given))
            await log.append(Event("item", {"n": n}))
            await asyncio.sleep(0.01)
        log.end()
    written = b"".join([*given, *server.taken])
    assert [b'{"n":%d}' % n in written for n in range(3)] == [True] * 3
    assert server.taken
