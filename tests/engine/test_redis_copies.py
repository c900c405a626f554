"""Copies of runs that another process executes: what they cost, also where they do not come about.

What viewers see of them is in `test_runs_redis`.
"""

import asyncio

import pytest

from streaming.core.errors_request import LogsFull, LogUnreachable
from streaming.core.feed import Upstream
from streaming.engine.redis_reader import READ_TOGETHER, RedisReader
from streaming.engine.upstream_call import Outgoing
from tests.fan_out import detached, ended, start, until
from tests.redis_links import LossyRelay
from tests.redis_processes import Processes, feed_of, found, hurry, in_use
from tests.redis_server import RedisServer
from tests.upstreams import Upstreams


@pytest.fixture(autouse=True)
def is_hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch, lease=30)


async def test_a_copy_that_did_not_come_about_costs_nothing(
    redis: RedisServer, upstreams: Upstreams, outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis was lost in the middle of it; when it is back, the run is found."""
    url = f"{upstreams.base_url}/lines?lines={2 * READ_TOGETHER}&interval=0"
    feed = detached(lines=Upstream(url=url, read="lines"))
    async with LossyRelay(redis.port) as relay:
        near, far = Processes(redis.url, outgoing=outgoing), Processes(relay.url, outgoing=outgoing)
        one, two = await near.add(feed), await far.add(feed)
        run = await start(one, feed)
        await ended(run)
        take = RedisReader._take

        async def take_and_lose(*args: object) -> bool:
            relay.lose_replies(1)
            return await take(*args)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(RedisReader, "_take", take_and_lose)
            with pytest.raises(LogUnreachable):
                await two.find(run.id)
        assert in_use(two) == {"runs": [], "bytes": 0}
        await until(lambda: two._process.reads.is_up and two._process.writes.is_up)
        assert (await found(two, run.id)).log.last == run.log.last
        await near.aclose()
        await far.aclose()


async def test_a_run_that_starts_here_while_it_is_read_is_there_once(
    redis: RedisServer, upstreams: Upstreams, outgoing: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of one id would be read into by turns, and viewers of one of them wait for ever."""
    processes = Processes(redis.url, outgoing=outgoing)
    feed = feed_of(upstreams, "/never")
    one = await processes.add(feed)
    run = await start(one, feed)
    table = one._copies.table
    del table._by_id[run.id]
    catch_up = RedisReader.catch_up

    async def catch_up_late(*args: object) -> None:
        await catch_up(*args)  # type: ignore[arg-type]
        table.add(run)

    monkeypatch.setattr(RedisReader, "catch_up", catch_up_late)
    before = table.budget.used
    assert await one._copies.load(run.id) is run
    assert table.budget.used == before
    await processes.aclose()


async def test_a_copy_for_which_there_is_no_room_costs_nothing(
    processes: Processes, upstreams: Upstreams
) -> None:
    """It is refused as a start is; what is there stays."""
    feed = feed_of(upstreams, "/never")
    one, two = await processes.add(feed), await processes.add(feed, max_bytes=700)
    runs = [await start(one, feed) for _ in range(4)]
    held = []
    with pytest.raises(LogsFull):
        for run in runs:
            copy = await found(two, run.id)
            copy.attach()
            held.append(copy)
    assert in_use(two) == {"runs": held, "bytes": sum(run.log.bytes_held for run in held)}


async def test_who_asks_may_leave(processes: Processes, upstreams: Upstreams) -> None:
    """The copy is made for the others all the same."""
    feed = feed_of(upstreams, "/never")
    one, two = await processes.add(feed), await processes.add(feed)
    run = await start(one, feed)
    asking = [asyncio.create_task(two._copies.load(run.id)) for _ in range(2)]
    await asyncio.sleep(0)
    assert two._copies._loading
    asking[0].cancel()
    copy = await asking[1]
    assert copy is not None
    assert copy.id == run.id
