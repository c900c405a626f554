"""The runs of several processes that share a Redis: one run for all, whichever of them dies.

All tests run on a single Redis, and those that do not end it on a cluster as well, where a script
that touched keys of two slots would be refused.
"""

import asyncio

import pytest

from streaming.core.errors_request import LogUnreachable, TooManyRuns
from streaming.core.feed import Param
from streaming.engine import redis_copies
from streaming.engine.redis_keys import log_key, meta_key, owned_key
from streaming.engine.upstream_call import Outgoing
from tests.fan_out import PATIENCE, done, ended, start, until
from tests.redis_processes import (
    Processes,
    ended_alike,
    feed_of,
    found,
    hurry,
    in_use,
    others_of,
    release,
)
from tests.redis_server import RedisServer
from tests.upstreams import Upstreams


@pytest.fixture(autouse=True)
def is_hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch, lease=30)


# ----------------------------------------------------------------- finding, joining


async def test_a_run_is_the_same_on_every_process(
    processes: Processes, upstreams: Upstreams, key: str
) -> None:
    """Found while it is live and after its end: event for event, with what was asked for."""
    feed = feed_of(
        upstreams, f"/held/{key}", "/json", "/status/404", params={"p": Param(default="ü")}
    )
    one, two, three = [await processes.add(feed) for _ in range(3)]
    run, is_joined = await one.start(feed, {"p": "x"}, caller="ann")
    live = await found(two, run.id)
    assert not is_joined
    assert (live.params, live.caller, live.feed) == ({"p": "x"}, "ann", feed)
    release(key)
    assert (await ended_alike(run, live))["ok"] == 2
    assert await ended_alike(run, await found(three, run.id)) == done(run.log)


async def test_who_asks_at_once_gets_the_same_copy(
    processes: Processes, upstreams: Upstreams
) -> None:
    """It is loaded once."""
    feed = feed_of(upstreams, "/never")
    one, two = await processes.add(feed), await processes.add(feed)
    run = await start(one, feed)
    copies = await asyncio.gather(*(two.find(run.id) for _ in range(10)))
    assert len(set(map(id, copies))) == 1
    assert two._table.all() == [copies[0]]


async def test_what_there_is_not_is_not_found(
    processes: Processes, upstreams: Upstreams, any_redis: RedisServer
) -> None:
    """Nor what has expired, nor a run of a feed that is not here."""
    feed = feed_of(upstreams, "/never")
    one, two, none = await processes.add(feed), await processes.add(feed), await processes.add()
    run = await start(one, feed)
    assert await none.find(run.id) is None
    assert await two.find("0" * 32) is None
    assert await two.find("no id") is None
    for name in (meta_key(run.id), log_key(run.id)):
        any_redis.cli("PEXPIRE", name, 0)
    assert await two.find(run.id) is None
    assert in_use(two) == {"runs": [], "bytes": 0}


async def test_a_live_run_expires_where_nobody_goes_on_with_it(
    processes: Processes, upstreams: Upstreams, any_redis: RedisServer
) -> None:
    """After its timeout, `linger` and ten minutes."""
    feed = feed_of(upstreams, "/never", timeout=100.0, linger=50.0)
    run = await start(await processes.add(feed), feed)
    for name in (meta_key(run.id), log_key(run.id)):
        assert 740_000 < any_redis.cli("PTTL", name) <= 750_000


@pytest.mark.parametrize(
    ("share", "joins_own", "joins_other"),
    [(False, False, False), (True, True, False), ("all", True, True)],
)
async def test_a_run_is_joined_across_processes(
    processes: Processes,
    upstreams: Upstreams,
    share: bool | str,
    joins_own: bool,
    joins_other: bool,
) -> None:
    """By whom the feed says, while it is live."""
    feed = feed_of(upstreams, "/never", share=share)
    one, two = await processes.add(feed), await processes.add(feed)
    run, _ = await one.start(feed, {}, caller="ann")
    for caller, joins in (("ann", joins_own), ("bob", joins_other)):
        live = await two.find_live(feed, {}, caller=caller)
        assert (live is not None and live.id == run.id) == joins
    run.stop("stopped")
    await ended(run)
    assert await two.find_live(feed, {}, caller="ann") is None


async def test_two_starts_at_once_are_one_run(
    processes: Processes, upstreams: Upstreams, any_redis: RedisServer
) -> None:
    """Of what was made in vain nothing is left in Redis, and no upstream is called for it."""
    feed = feed_of(upstreams, "/never", share=True)
    both = [await processes.add(feed) for _ in range(2)]
    started = await asyncio.gather(*(runs.start(feed, {}, caller="") for runs in both * 3))
    (id,) = {run.id for run, _ in started}
    assert sorted(is_joined for _, is_joined in started) == [False] + [True] * 5
    with any_redis.client() as client:
        await until(lambda: client.keys("*:meta") == [meta_key(id)])
        owned = [client.smembers(owned_key(runs._process.id)) for runs in both]
        assert sorted(map(sorted, owned)) == [[], [id]]
    await upstreams.wait_calls("/never")
    assert upstreams.calls["/never"] == 1


async def test_nobody_joins_a_run_that_is_being_ended(
    processes: Processes, upstreams: Upstreams
) -> None:
    """Whoever asks for its end: a new one takes its place."""
    feed = feed_of(upstreams, "/never", share=True)
    one, two = await processes.add(feed), await processes.add(feed)
    old = await start(one, feed)
    copy = await found(two, old.id)
    copy.stop("stopped")
    new, is_joined = await two.start(feed, {}, caller="")
    assert not is_joined
    assert new.id != old.id
    assert (await ended_alike(old, copy))["reason"] == "stopped"
    live = await one.find_live(feed, {}, caller="")
    assert live is not None
    assert live.id == new.id


# ------------------------------------------------------------- viewers here and there


async def test_a_run_is_stopped_from_any_process(
    processes: Processes, upstreams: Upstreams
) -> None:
    """Its upstreams are hung up on."""
    feed = feed_of(upstreams, "/never")
    one, two = await processes.add(feed), await processes.add(feed)
    run = await start(one, feed)
    copy = await found(two, run.id)
    await upstreams.wait_calls("/never")
    copy.stop("stopped")
    assert copy.is_stopping
    assert (await ended_alike(run, copy))["reason"] == "stopped"
    await upstreams.wait_closed_by_peer("/never")


async def test_the_last_viewer_of_all_ends_a_run(
    processes: Processes, upstreams: Upstreams
) -> None:
    """Under `cancel`; while there is one anywhere it goes on."""
    feed = feed_of(upstreams, "/never", on_disconnect="cancel")
    one, two = await processes.add(feed), await processes.add(feed)
    run = await start(one, feed)
    copy = await found(two, run.id)
    run.attach()
    copy.attach()
    await until(lambda: others_of(one, run.id) == {two._process.id})
    run.detach()
    await asyncio.sleep(0.3)
    assert not run.is_stopping
    copy.detach()
    assert (await ended_alike(run, copy))["reason"] == "abandoned"


async def test_a_run_lingers_for_viewers_of_any_process(
    processes: Processes, upstreams: Upstreams
) -> None:
    """It is abandoned once none has been there for so long, and not before."""
    feed = feed_of(upstreams, "/never", on_disconnect="linger", linger=1.0)
    one, two = await processes.add(feed), await processes.add(feed)
    run = await start(one, feed)
    copy = await found(two, run.id)
    copy.attach()
    await asyncio.sleep(1.2)
    assert not run.is_stopping
    copy.detach()
    last = await ended_alike(run, copy)
    assert last["reason"] == "abandoned"
    assert last["elapsed"] >= 2.2


async def test_a_process_that_dies_takes_its_viewers_with_it(
    processes: Processes, upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are counted no more once its lease has ended."""
    hurry(monkeypatch)
    feed = feed_of(upstreams, "/never", on_disconnect="cancel")
    one, two = await processes.add(feed), await processes.add(feed)
    run = await start(one, feed)
    (await found(two, run.id)).attach()
    await until(lambda: others_of(one, run.id) == {two._process.id})
    await processes.kill(two)
    await ended(run)
    assert done(run.log)["reason"] == "abandoned"


async def test_a_copy_that_nobody_views_is_forgotten(
    processes: Processes, upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while, with its bytes and what it listened to; a viewer keeps it."""
    monkeypatch.setattr(redis_copies, "IDLE_KEEP", 0.1)
    feed = feed_of(upstreams, "/never")
    one, two = await processes.add(feed), await processes.add(feed)
    viewed, idle = await start(one, feed), await start(one, feed)
    (await found(two, viewed.id)).attach()
    await found(two, idle.id)
    await until(lambda: two._table.find(idle.id) is None)
    assert [run.id for run in two._table.all()] == [viewed.id]
    two._table.all()[0].detach()
    await until(lambda: not two._table.all())
    assert in_use(two)["bytes"] == 0
    assert {viewed, idle} == set(one._table.all())


async def test_where_there_is_no_room_nothing_is_found(
    processes: Processes, upstreams: Upstreams
) -> None:
    """As for a start; a run that nobody views gives way."""
    feed = feed_of(upstreams, "/never")
    one, two = await processes.add(feed), await processes.add(feed, max_runs=1)
    first, second = await start(one, feed), await start(one, feed)
    await found(two, first.id)
    (await found(two, second.id)).attach()
    with pytest.raises(TooManyRuns):
        await two.find(first.id)


# ------------------------------------------------------------------------ losses


async def test_a_run_that_is_gone_is_lost_for_all(
    processes: Processes, upstreams: Upstreams, any_redis: RedisServer
) -> None:
    """For its owner, which calls nothing any more, and for those who follow it."""
    feed = feed_of(upstreams, "/never")
    one, two = await processes.add(feed), await processes.add(feed)
    run = await start(one, feed)
    copy = await found(two, run.id)
    copy.attach()
    await upstreams.wait_calls("/never")
    any_redis.cli("DEL", meta_key(run.id), log_key(run.id))
    for each in (run, copy):
        await ended(each)
        assert done(each.log)["reason"] == "lost"
    await upstreams.wait_closed_by_peer("/never")
    assert run.id not in one._owned


async def test_all_bytes_come_back(
    processes: Processes, upstreams: Upstreams, any_redis: RedisServer
) -> None:
    """On every process, however runs end; and nothing is left to be executed."""
    feed = feed_of(upstreams, "/json", "/never", keep=0.0, share=True)
    one, two = await processes.add(feed), await processes.add(feed)
    for n in range(6):
        run = await start((one, two)[n % 2], feed)
        copy = await found((two, one)[n % 2], run.id)
        (run, copy)[n % 3 % 2].stop("stopped")
        await ended_alike(run, copy)
    for runs in (one, two):
        await until(lambda runs=runs: not runs._table.all())
        assert in_use(runs)["bytes"] == 0
    with any_redis.client() as client:
        await until(lambda: not client.keys("fanstream:owned:*"))
        await until(lambda: not client.keys("fanstream:share:*"))


# ------------------------------------------------------------------ Redis is away


async def test_requests_are_refused_while_redis_is_away(
    own_redis: RedisServer, upstreams: Upstreams, outgoing: Outgoing, key: str
) -> None:
    """Those that need it; runs go on, their events come once it is back, and so do requests."""
    feed = feed_of(upstreams, f"/held/{key}", share=True)
    processes = Processes(own_redis.url, outgoing=outgoing)
    one, two = await processes.add(feed), await processes.add(feed)
    run = await start(one, feed)
    copy = await found(two, run.id)
    copy.attach()
    await upstreams.wait_calls(f"/held/{key}")
    own_redis.kill()
    for ask in (
        lambda: one.start(feed, {}, caller="ann"),
        lambda: one.find_live(feed, {}, caller=""),
        lambda: one.find("0" * 32),
    ):
        with pytest.raises(LogUnreachable):
            await ask()
    assert not await one.is_reachable()
    assert not run.is_ended
    release(key)
    own_redis.start()
    assert (await ended_alike(run, copy))["ok"] == 1
    async with asyncio.timeout(PATIENCE):
        while not await one.is_reachable():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)
    assert upstreams.calls[f"/held/{key}"] == 1
    await processes.aclose()


async def test_nobody_is_taken_for_dead_because_redis_was_away(
    own_redis: RedisServer, upstreams: Upstreams, outgoing: Outgoing
) -> None:
    """For longer than a lease: each goes on with its own."""
    feed = feed_of(upstreams, "/never")
    processes = Processes(own_redis.url, outgoing=outgoing)
    both = [await processes.add(feed) for _ in range(2)]
    started = [await start(runs, feed) for runs in both]
    own_redis.kill()
    await asyncio.sleep(1.0)
    own_redis.start()
    for runs, run in zip(both, started, strict=True):
        await until(lambda runs=runs: runs._process.lease.is_held)
        run.stop("stopped")
        await ended(run)
        assert done(run.log)["reason"] == "stopped"
    assert upstreams.calls["/never"] == 2
    await processes.aclose()
