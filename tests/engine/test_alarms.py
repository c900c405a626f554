"""Alarms: never early, soon after their time, moved for nothing, and gone when closed."""

import asyncio
import gc
import time
import weakref
from typing import Any

from streaming.engine.alarms import TICKS_PER_SECOND, Alarms
from tests.fan_out import until

TICK = 1 / TICKS_PER_SECOND


async def test_it_rings_once_at_its_time() -> None:
    """Not before; the margin after it is that of a busy machine."""
    alarms, rung = Alarms(), list[float]()
    alarm = alarms.make(lambda: rung.append(time.monotonic()))
    due = time.monotonic() + 0.1
    alarm.set(due)
    await until(lambda: bool(rung))
    assert due <= rung[0] < due + 1.0
    await asyncio.sleep(3 * TICK)
    assert len(rung) == 1


async def test_it_can_be_moved_on() -> None:
    """It rings at the later time alone, though it is looked at once before."""
    alarms, rung = Alarms(), list[float]()
    alarm = alarms.make(lambda: rung.append(time.monotonic()))
    alarm.set(time.monotonic() + 2 * TICK)
    due = time.monotonic() + 10 * TICK
    alarm.set(due)
    await until(lambda: bool(rung))
    assert rung[0] >= due


async def test_it_can_be_moved_forward() -> None:
    """Such as by an idle timeout that is shorter than the time to the head."""
    alarms, rung = Alarms(), list[float]()
    alarm = alarms.make(lambda: rung.append(time.monotonic()))
    alarm.set(time.monotonic() + 1000.0)
    alarm.set(time.monotonic() + TICK)
    await until(lambda: bool(rung))


async def test_many_at_different_times_ring_in_order() -> None:
    """By one timer of the loop."""
    alarms, rung = Alarms(), list[int]()
    for n in (3, 1, 2, 0):
        alarms.make(lambda n=n: rung.append(n)).set(time.monotonic() + (2 * n + 1) * TICK)
    await until(lambda: len(rung) == 4)
    assert rung == [0, 1, 2, 3]


async def test_a_closed_one_does_not_ring() -> None:
    """Nor one that another closes in the same tick."""
    alarms, rung = Alarms(), list[str]()
    due = time.monotonic() + TICK
    closed = alarms.make(lambda: rung.append("never"))
    alarms.make(closed.close).set(due)
    alarms.make(closed.close).set(due - 2 * TICK)
    closed.set(due)
    last = alarms.make(lambda: rung.append("last"))
    last.set(due + 2 * TICK)
    await until(lambda: bool(rung))
    assert rung == ["last"]


async def test_a_closed_one_holds_nothing() -> None:
    """Neither what it would have called, nor a timer of the loop."""

    class Caller:
        def ring(self) -> None:
            raise AssertionError

    alarms, caller = Alarms(), Caller()
    held = weakref.ref(caller)
    alarm = alarms.make(caller.ring)
    alarm.set(time.monotonic() + 1000.0)
    assert alarms._timer
    alarm.close()
    del caller
    gc.collect()
    assert held() is None
    assert alarms._timer is None


async def test_hastened_ones_ring_together_in_the_next_turn() -> None:
    """Once each, before what they ask to be called after them."""
    alarms, rung = Alarms(), list[str]()

    def ring(name: str) -> None:
        rung.append(name)
        alarms.call_after(lambda: rung.append(name.upper()))

    first, second = alarms.make(lambda: ring("a")), alarms.make(lambda: ring("b"))
    for alarm in (first, second, first):
        alarm.hasten()
    assert not rung
    await asyncio.sleep(0)
    assert rung == ["a", "b", "A", "B"]


async def test_one_without_end_is_never_rung() -> None:
    """A stream that never expires waits for infinity."""
    alarms = Alarms()
    alarm = alarms.make(lambda: None)
    alarm.set(float("inf"))
    assert alarms._timer
    alarm.close()


async def test_a_fault_of_one_keeps_no_other_from_ringing() -> None:
    """The loop's handler is told of it."""
    alarms, rung, told = Alarms(), list[str](), list[Any]()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))

    def fail() -> None:
        raise RuntimeError("broken")

    due = time.monotonic() + TICK
    broken = alarms.make(fail)
    broken.set(due)
    alarms.make(lambda: rung.append("same")).set(due)
    alarms.make(lambda: rung.append("later")).set(due + 3 * TICK)
    await until(lambda: len(rung) == 2)
    hastened = alarms.make(lambda: rung.append("hastened"))
    broken.hasten()
    hastened.hasten()
    await until(lambda: len(rung) == 3)
    assert len(told) == 2


async def test_many_that_come_and_go_take_no_room() -> None:
    """While others wait for long: each tick is noted once."""
    alarms = Alarms()
    waiting = alarms.make(lambda: None)
    waiting.set(time.monotonic() + 1000.0)
    for _ in range(10_000):
        alarm = alarms.make(lambda: None)
        alarm.set(time.monotonic() + 10.0)
        alarm.close()
    assert len(alarms._ticks) < 1000
    waiting.close()
    assert (alarms._ticks, alarms._by_tick) == ([], {})
