"""Runs of dead processes, and of those that hand them over: one other goes on with each."""

import asyncio

import pytest

from streaming.core.feed import Feed, Upstream
from streaming.engine import redis_takeover
from streaming.engine.redis_keys import meta_key
from streaming.engine.redis_link import LinkDown
from tests.fan_out import PATIENCE, outcomes, said, start, until
from tests.log_battery import read_held
from tests.redis_processes import (
    Processes,
    ended_alike,
    executing,
    feed_of,
    found,
    hurry,
    others_of,
    release,
)
from tests.redis_server import RedisServer
from tests.upstreams import Upstreams


@pytest.fixture(autouse=True)
def is_hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


# ---------------------------------------------------------------------- taking over


async def test_a_dead_process_s_run_goes_on(
    processes: Processes, upstreams: Upstreams, key: str
) -> None:
    """What is settled is not asked for again, what is repeatable and said nothing is."""
    feed = feed_of(upstreams, "/json", f"/held/{key}")
    one, two = await processes.add(feed), await processes.add(feed)
    run = await start(one, feed)
    copy = await found(two, run.id)
    await until(lambda: len(said(copy.log)) == 2)
    await upstreams.wait_calls(f"/held/{key}")
    await processes.kill(one)
    await upstreams.wait_calls(f"/held/{key}", 2)
    release(key)
    last = await ended_alike(copy)
    assert (last["ok"], last["reason"]) == (2, "finished")
    assert upstreams.calls["/json"] == 1
    assert [event[:2] for event in read_held(copy.log)][:2] == [(1, "start"), (2, "result")]


async def test_one_process_takes_a_run_over(
    processes: Processes, upstreams: Upstreams, key: str
) -> None:
    """However many could; the others follow it."""
    feed = feed_of(upstreams, f"/held/{key}")
    one, *others = [await processes.add(feed) for _ in range(4)]
    run = await start(one, feed)
    copies = [await found(runs, run.id) for runs in others]
    await upstreams.wait_calls(f"/held/{key}")
    await processes.kill(one)
    await upstreams.wait_calls(f"/held/{key}", 2)
    await asyncio.sleep(0.5)
    release(key)
    assert (await ended_alike(*copies))["ok"] == 1
    assert upstreams.calls[f"/held/{key}"] == 2


async def test_a_run_that_nobody_else_has_seen_goes_on(
    processes: Processes, upstreams: Upstreams, key: str
) -> None:
    """On a process that has no copy of it."""
    feed = feed_of(upstreams, f"/held/{key}")
    one, two = await processes.add(feed), await processes.add(feed)
    run = await start(one, feed)
    await upstreams.wait_calls(f"/held/{key}")
    await processes.kill(one)
    await executing(two, run.id)
    release(key)
    assert (await ended_alike(await found(two, run.id)))["ok"] == 1


@pytest.mark.parametrize("kind", ["chunks", "POST"])
async def test_what_must_not_be_had_twice_is_disconnected(
    processes: Processes, upstreams: Upstreams, key: str, kind: str
) -> None:
    """A stream that has said something, and a call that is not repeatable."""
    url = f"{upstreams.base_url}/held-stream/{key}"
    options = {"read": "lines"} if kind == "chunks" else {"method": "POST"}
    feed = Feed("it", on_disconnect="detach", upstreams={"it": Upstream(url=url, **options)})
    one, two = await processes.add(feed), await processes.add(feed)
    run = await start(one, feed)
    copy = await found(two, run.id)
    await upstreams.wait_calls(f"/held-stream/{key}")
    if kind == "chunks":
        await until(lambda: bool(said(copy.log, "chunk")))
    await processes.kill(one)
    assert (await ended_alike(copy))["reason"] == "finished"
    assert outcomes(copy.log)["it"].data["code"] == "disconnected"
    assert upstreams.calls[f"/held-stream/{key}"] == 1


async def test_the_timeout_of_a_run_goes_on(
    processes: Processes, upstreams: Upstreams, any_redis: RedisServer
) -> None:
    """One whose time was over before it was taken over ends at once."""
    feed = feed_of(upstreams, "/never", timeout=100.0)
    one, two = await processes.add(feed), await processes.add(feed)
    run = await start(one, feed)
    copy = await found(two, run.id)
    await upstreams.wait_calls("/never")
    any_redis.cli("HINCRBY", meta_key(run.id), "started", -200_000)
    await processes.kill(one)
    last = await ended_alike(copy)
    assert last["reason"] == "timeout"
    assert last["elapsed"] >= 200.0
    assert upstreams.calls["/never"] == 1


async def test_a_run_is_stopped_while_nobody_executes_it(
    processes: Processes, upstreams: Upstreams
) -> None:
    """By whoever takes it over, without calling anything again."""
    feed = feed_of(upstreams, "/never")
    one, two = await processes.add(feed), await processes.add(feed)
    run = await start(one, feed)
    copy = await found(two, run.id)
    await upstreams.wait_calls("/never")
    await processes.kill(one)
    copy.stop("stopped")
    assert (await ended_alike(copy))["reason"] == "stopped"
    assert upstreams.calls["/never"] == 1


async def test_viewers_elsewhere_keep_a_run_that_is_taken_over(
    processes: Processes, upstreams: Upstreams
) -> None:
    """The next owner counts them, and its own once; the last one's leaving ends it."""
    feed = feed_of(upstreams, "/never", on_disconnect="cancel", linger=PATIENCE)
    one, two, three = [await processes.add(feed) for _ in range(3)]
    run = await start(one, feed)
    copies = [await found(runs, run.id) for runs in (two, three)]
    for copy in copies:
        copy.attach()
    await upstreams.wait_calls("/never")
    await processes.kill(one)
    await until(lambda: any(others_of(runs, run.id) for runs in (two, three)))
    copies[0].detach()
    await asyncio.sleep(0.3)
    assert not any(copy.is_stopping for copy in copies)
    copies[1].detach()
    assert (await ended_alike(*copies))["reason"] == "abandoned"


async def test_a_viewer_that_leaves_at_a_takeover_is_not_taken_for_the_last(
    processes: Processes, upstreams: Upstreams
) -> None:
    """Whoever takes a run over knows of viewers elsewhere before one of its own can leave."""
    feed = feed_of(upstreams, "/never", on_disconnect="cancel", linger=20.0)
    one, two, three = [await processes.add(feed) for _ in range(3)]
    three.begin_drain()
    run = await start(one, feed)
    leaving, staying = [await found(process, run.id) for process in (two, three)]
    leaving.attach()
    staying.attach()
    await upstreams.wait_calls("/never")
    await processes.kill(one)
    async with asyncio.timeout(PATIENCE):
        while run.id not in two._owned:  # noqa: ASYNC110 - not a moment later
            await asyncio.sleep(0)
    leaving.detach()
    await asyncio.sleep(0.3)
    assert not staying.is_ended


async def test_a_run_is_left_to_a_process_that_has_room_for_it(
    processes: Processes, upstreams: Upstreams, key: str
) -> None:
    """One whose runs are all live claims nothing that it could not execute."""
    feed = feed_of(upstreams, f"/held/{key}")
    one, full = await processes.add(feed), await processes.add(feed, max_runs=1)
    await start(full, feed)
    run = await start(one, feed)
    await upstreams.wait_calls(f"/held/{key}", 2)
    await processes.kill(one)
    with_room = await processes.add(feed)
    await until(lambda: run.id in with_room._owned)
    assert run.id not in full._owned
    release(key)
    assert (await ended_alike(await found(with_room, run.id)))["reason"] == "finished"


async def test_a_process_that_is_ending_takes_nothing_over(
    processes: Processes, upstreams: Upstreams
) -> None:
    """It leaves the run to others."""
    feed = feed_of(upstreams, "/never")
    one, ending = await processes.add(feed), await processes.add(feed)
    run = await start(one, feed)
    ending.begin_drain()
    await processes.kill(one)
    await asyncio.sleep(1.0)
    assert run.id not in ending._owned
    three = await processes.add(feed)
    await executing(three, run.id)


# ------------------------------------------------------------- a feed that differs


def other_feed(upstreams: Upstreams) -> Feed:
    """A feed of the same name that calls something else."""
    return feed_of(upstreams, "/json")


async def test_a_run_waits_for_a_process_with_the_same_feed(
    processes: Processes, upstreams: Upstreams, key: str
) -> None:
    """Where the feed differs it is left alone for a while."""
    feed = feed_of(upstreams, f"/held/{key}")
    one, two = await processes.add(feed), await processes.add(other_feed(upstreams))
    run = await start(one, feed)
    await upstreams.wait_calls(f"/held/{key}")
    await processes.kill(one)
    await asyncio.sleep(1.0)
    assert run.id not in two._owned
    three = await processes.add(feed)
    await executing(three, run.id)
    release(key)
    assert (await ended_alike(await found(three, run.id)))["ok"] == 1


@pytest.mark.parametrize("has_feed", [True, False])
async def test_a_run_that_nobody_can_go_on_with_is_lost(
    processes: Processes,
    upstreams: Upstreams,
    any_redis: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    has_feed: bool,
) -> None:
    """After a while, for all who see it; where the feed differs and where there is none."""
    monkeypatch.setattr(redis_takeover, "GRACE_MS", 300)
    feed = feed_of(upstreams, "/never")
    one = await processes.add(feed)
    await processes.add(*([other_feed(upstreams)] if has_feed else []))
    run = await start(one, feed)
    await upstreams.wait_calls("/never")
    await processes.kill(one)
    await until(lambda: any_redis.cli("HEXISTS", meta_key(run.id), "ended") == 1)
    copy = await found(await processes.add(feed), run.id)
    assert (await ended_alike(copy))["reason"] == "lost"
    assert outcomes(copy.log)["never"].data["code"] == "disconnected"
    assert upstreams.calls["/never"] == 1


# -------------------------------------------------------------------- handing over


async def test_what_is_handed_over_is_taken_at_once(
    processes: Processes, upstreams: Upstreams, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No lease has to end first; who handed it over executes nothing any more."""
    hurry(monkeypatch, lease=10 * PATIENCE)
    feed = feed_of(upstreams, f"/held/{key}")
    one, two = await processes.add(feed), await processes.add(feed)
    run = await start(one, feed)
    copy = await found(two, run.id)
    await upstreams.wait_calls(f"/held/{key}")
    await one.end_all()
    await one.wait_idle()
    await upstreams.wait_closed_by_peer(f"/held/{key}")
    await upstreams.wait_calls(f"/held/{key}", 2)
    release(key)
    assert (await ended_alike(copy))["ok"] == 1


async def test_what_is_handed_over_with_a_feed_that_differs_waits_as_well(
    processes: Processes, upstreams: Upstreams
) -> None:
    """A process where the feed is the same may be about to start."""
    feed = feed_of(upstreams, "/never")
    one, two = await processes.add(feed), await processes.add(other_feed(upstreams))
    run = await start(one, feed)
    await upstreams.wait_calls("/never")
    await one.end_all()
    await asyncio.sleep(0.5)
    three = await processes.add(feed)
    await executing(three, run.id)
    assert run.id not in two._owned


async def test_what_is_handed_over_to_nobody_waits(
    processes: Processes, upstreams: Upstreams, key: str
) -> None:
    """For the next process."""
    feed = feed_of(upstreams, f"/held/{key}")
    one = await processes.add(feed)
    run = await start(one, feed)
    await one.end_all()
    await processes.kill(one)
    two = await processes.add(feed)
    await executing(two, run.id)
    release(key)
    assert (await ended_alike(await found(two, run.id)))["ok"] == 1


# ------------------------------------------------------------------ owners that were


async def test_an_owner_that_was_taken_for_dead_follows(
    processes: Processes, upstreams: Upstreams, key: str
) -> None:
    """What it still says is refused; its viewers see what the new owner says, each event once."""
    feed = feed_of(upstreams, f"/held/{key}", "/never")
    one, two = await processes.add(feed), await processes.add(feed)
    run = await start(one, feed)
    run.attach()
    await upstreams.wait_calls(f"/held/{key}")

    async def fail() -> None:
        raise LinkDown

    one._process.lease.beat = fail  # type: ignore[method-assign]
    await executing(two, run.id)
    await upstreams.wait_calls(f"/held/{key}", 2)
    release(key)
    copy = await found(two, run.id)
    await until(lambda: run.id not in one._owned and len(outcomes(copy.log)) == 1)
    copy.stop("stopped")
    last = await ended_alike(run, copy)
    assert (last["ok"], last["cancelled"]) == (1, 1)
