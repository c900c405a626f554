"""The runs of a process: how many there may be, who joins which, and what gives way."""

import asyncio
from typing import Any

import pytest

from streaming.core.errors_request import InvalidParameter, LogsFull, TooManyRuns
from streaming.core.feed import Feed, Param, Upstream
from streaming.engine.runs_memory import MemoryRuns
from tests.fan_out import detached, done, ended, running, start, until
from tests.upstreams import Upstreams


def a_feed(upstreams: Upstreams, path: str = "/json", **options: Any) -> Feed:
    options = {"on_disconnect": "detach", **options}
    return Feed("it", upstreams={"it": Upstream(url=upstreams.base_url + path)}, **options)


# ----------------------------------------------------------------------- how many


async def test_no_room_for_a_start_is_no_room_for_a_run(upstreams: Upstreams) -> None:
    """Where live runs hold all bytes of logs, a further one is refused as where there are many."""
    feed = detached(never=Upstream(url=f"{upstreams.base_url}/never"))
    async with running(max_bytes=1000) as runs:
        with pytest.raises(LogsFull):
            for _ in range(10):
                await start(runs, feed)


async def test_no_more_live_runs_than_allowed(upstreams: Upstreams) -> None:
    """A further one is refused; it may start as soon as one has ended."""
    feed = a_feed(upstreams, "/never")
    async with running(max_runs=2) as runs:
        first, _ = await start(runs, feed), await start(runs, feed)
        with pytest.raises(TooManyRuns):
            await start(runs, feed)
        first.stop("stopped")
        await ended(first)
        await start(runs, feed)
        assert await runs.find(first.id) is None


async def test_the_run_that_ended_first_makes_place(upstreams: Upstreams) -> None:
    """Not the one that started first, nor one that is live."""
    async with running(max_runs=3) as runs:
        live = await start(runs, a_feed(upstreams, "/never"))
        slow = await start(runs, a_feed(upstreams, "/json?delay=0.1"))
        fast = await start(runs, a_feed(upstreams))
        await asyncio.gather(ended(slow), ended(fast))
        await start(runs, a_feed(upstreams))
        assert [await runs.find(run.id) for run in (live, slow, fast)] == [live, slow, None]


async def test_an_ended_run_is_kept_for_a_while(upstreams: Upstreams, runs: MemoryRuns) -> None:
    """As long as its feed says; a viewer that has it may read on."""
    run = await start(runs, a_feed(upstreams, keep=0.2))
    await ended(run)
    assert await runs.find(run.id) is run
    await until(lambda: runs._table.find(run.id) is None)
    assert done(run.log)["ok"] == 1


async def test_bytes_of_ended_runs_make_room_for_live_ones(upstreams: Upstreams) -> None:
    """The oldest go, one by one, and are gone for whoever asks for them."""
    async with running(max_bytes=3800) as runs:
        gone = [await start(runs, a_feed(upstreams)) for _ in range(3)]
        for run in gone:
            await ended(run)
        path = "/lines?lines=5"
        lines = Upstream(url=upstreams.base_url + path, read="lines")
        live = await start(runs, detached(lines=lines))
        await ended(live)
        assert done(live.log)["reason"] == "finished"
        assert await runs.find(gone[0].id) is None
        assert await runs.find(live.id) is live


async def test_all_bytes_come_back(upstreams: Upstreams) -> None:
    """However runs end and whenever they are forgotten."""
    async with running(max_runs=4) as runs:
        for n in range(12):
            run = await start(
                runs, a_feed(upstreams, ["/json", "/status/404", "/never"][n % 3], keep=0.0)
            )
            if n % 3 == 2:
                run.stop("stopped")
            await ended(run)
        await runs.aclose()
        assert runs._table.budget.used == 0
        assert not runs._table._by_id
        assert not runs._table._going


# ------------------------------------------------------------------------ joining

PARAMS = {
    "n": Param(type="number", default=0.0),
    "flag": Param(type="boolean", default=False),
    "text": Param(default=""),
}


def shared(upstreams: Upstreams, **options: Any) -> Feed:
    return a_feed(upstreams, "/never", share=True, params=PARAMS, **options)


async def test_the_same_request_joins_a_live_run(upstreams: Upstreams, runs: MemoryRuns) -> None:
    """Of the same feed, with the same parameters; once it has ended, nobody joins it."""
    feed = shared(upstreams)
    params = feed.bind({"n": "1"}, typed=False)
    run, _ = await runs.start(feed, params, caller="")
    assert await runs.find_live(feed, feed.bind({"n": 1}, typed=True), caller="") is run
    run.stop("stopped")
    await ended(run)
    assert await runs.find_live(feed, params, caller="") is None


async def test_parameters_are_compared_as_json(upstreams: Upstreams, runs: MemoryRuns) -> None:
    """1, true, 1.0 and "1" are equal to nobody but themselves; so are 0.0 and -0.0."""
    feed = shared(upstreams)
    values = [1, True, 1.0, "1", 0.0, -0.0, ""]
    started = [await start(runs, feed, {"n": value}) for value in values]
    for value, run in zip(values, started, strict=True):
        assert await runs.find_live(feed, {"n": value}, caller="") is run


@pytest.mark.parametrize(
    ("share", "joins_own", "joins_other"),
    [(False, False, False), (True, True, False), ("all", True, True)],
)
async def test_who_joins_is_the_feeds_to_say(
    upstreams: Upstreams, runs: MemoryRuns, share: bool | str, joins_own: bool, joins_other: bool
) -> None:
    """Nobody, the same caller, or everyone."""
    feed = a_feed(upstreams, "/never", share=share)
    run, _ = await runs.start(feed, {}, caller="ann")
    assert (await runs.find_live(feed, {}, caller="ann") is run) == joins_own
    assert (await runs.find_live(feed, {}, caller="bob") is run) == joins_other


async def test_nobody_joins_a_run_that_is_being_ended(
    upstreams: Upstreams, runs: MemoryRuns
) -> None:
    """Who reloads a page under `cancel` gets a run of their own, which others then find."""
    feed = shared(upstreams)
    params = feed.bind({}, typed=True)
    old, _ = await runs.start(feed, params, caller="")
    old.stop("abandoned")
    assert await runs.find_live(feed, params, caller="") is None
    new, _ = await runs.start(feed, params, caller="")
    await ended(old)
    assert await runs.find_live(feed, params, caller="") is new


# ------------------------------------------------------------------------ starting


async def test_what_a_template_refuses_starts_nothing(
    upstreams: Upstreams, runs: MemoryRuns
) -> None:
    """All upstreams are looked at before the first is called."""
    feed = Feed(
        "it",
        params={"p": Param()},
        upstreams={
            "good": Upstream(url=upstreams.base_url + "/json"),
            "bad": Upstream(url=upstreams.base_url + "/echo/{p}"),
        },
    )
    with pytest.raises(InvalidParameter):
        await runs.start(feed, {"p": ".."}, caller="")
    assert not runs._table._by_id
    assert asyncio.all_tasks() == {asyncio.current_task(), *upstreams._conversations}


async def test_ids_cannot_be_guessed(upstreams: Upstreams, runs: MemoryRuns) -> None:
    """128 bits of randomness each."""
    ids = {(await start(runs, a_feed(upstreams, "/never"))).id for _ in range(20)}
    assert len(ids) == 20
    assert {len(bytes.fromhex(id)) for id in ids} == {16}


# -------------------------------------------------------------------------- ending


async def test_all_can_be_ended_at_once(upstreams: Upstreams, runs: MemoryRuns) -> None:
    """Each says its last word; what had ended stays as it was."""
    finished = await start(runs, a_feed(upstreams))
    await ended(finished)
    live = [await start(runs, a_feed(upstreams, "/never")) for _ in range(5)]
    idle = asyncio.create_task(runs.wait_idle())
    await upstreams.wait_calls("/never", 5)
    assert not idle.done()
    await runs.end_all()
    await idle
    assert {done(run.log)["reason"] for run in live} == {"shutdown"}
    assert done(finished.log)["reason"] == "finished"
