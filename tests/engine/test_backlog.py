"""What is to be done by and by: each thing once, and none forgotten."""

import asyncio

from streaming.engine.backlog import Backlog
from tests.fan_out import PATIENCE


async def test_all_is_taken_together() -> None:
    """Each thing once, however often it was added."""
    backlog: Backlog[str] = Backlog()
    for thing in ("a", "b", "a"):
        backlog.add(thing)
    assert await backlog.take() == {"a", "b"}


async def test_who_takes_waits_until_there_is_something() -> None:
    """And gets what has come by the time of its turn."""
    backlog: Backlog[str] = Backlog()
    taking = asyncio.create_task(backlog.take())
    await asyncio.sleep(0)
    assert not taking.done()
    backlog.add("a")
    backlog.add("b")
    async with asyncio.timeout(PATIENCE):
        assert await taking == {"a", "b"}


async def test_what_comes_while_others_are_done_is_taken_next() -> None:
    """Be it the same thing again."""
    backlog: Backlog[str] = Backlog()
    backlog.add("a")
    taken = await backlog.take()
    backlog.add("a")
    assert taken == await backlog.take() == {"a"}
    taking = asyncio.create_task(backlog.take())
    await asyncio.sleep(0)
    assert not taking.done()
    taking.cancel()


async def test_who_is_cancelled_takes_nothing() -> None:
    """It is there for the next."""
    backlog: Backlog[str] = Backlog()
    taking = asyncio.create_task(backlog.take())
    await asyncio.sleep(0)
    taking.cancel()
    backlog.add("a")
    await asyncio.wait([taking])
    assert await backlog.take() == {"a"}
