"""What viewers on one process mean to a run that another executes."""

import asyncio

from tests.processes.audience import Audience
from tests.processes.fleet import Fleet
from tests.processes.ledger import check_whole
from tests.processes.member import wait_for_log
from tests.viewing import ask, eventually

# Seconds: the `linger` of the shared feed is 2, and a lease 5.
LONGER_THAN_LINGER = 5.0
LONGER_THAN_BEAT = 2.0
SOON = 20.0


async def test_shared_run_is_one_on_all_processes(pair: Fleet, key: str) -> None:
    """Who asks another process for the same sees the same run, and nothing is called twice."""
    owner, other = pair.members
    async with Audience(owner.base_url) as audience:
        status, run = await audience.post("shared", {"key": key})
        status_there, run_there = await audience.post(
            "shared", {"key": key}, base_url=other.base_url
        )
        assert (status, status_there) == (201, 200)
        assert run == run_there
        for member in pair.members:
            audience.watch(run, viewers=3, base_url=member.base_url)
        await audience.wait_event(run, "start")
        pair.release(key)
    assert audience.story(run).ends == 6
    assert pair.upstreams.calls[f"/held/{key}"] == 1


async def test_many_who_ask_at_once_share_one_run(pair: Fleet, key: str) -> None:
    """Of all who ask all processes at the same time, one starts a run."""
    async with Audience("") as audience:
        asked = [
            audience.post("shared", {"key": key}, base_url=member.base_url)
            for member in pair.members
            for _ in range(10)
        ]
        answers = await asyncio.gather(*asked)
        assert {status for status, _ in answers} <= {200, 201}
        (run,) = {run for _, run in answers}
        audience.watch(run, base_url=pair.members[0].base_url)
        pair.release(key)
    assert [status for status, _ in answers].count(201) == 1
    assert pair.upstreams.calls[f"/held/{key}"] == 1


async def test_runs_that_came_too_late_are_no_runs(pair: Fleet, key: str) -> None:
    """What was begun by those who came to share another's run is handed to nobody."""
    async with Audience("") as audience:
        asked = [
            audience.post("shared", {"key": key}, base_url=member.base_url)
            for member in pair.members
            for _ in range(10)
        ]
        (run,) = {run for _, run in await asyncio.gather(*asked)}
        audience.watch(run, base_url=pair.members[0].base_url)
        pair.release(key)
    drained, other = pair.members
    drained.begin_drain()
    await asyncio.to_thread(drained.wait_end)
    # It looks for runs at each beat, which a handing over hurries.
    await asyncio.to_thread(eventually, lambda: ask(other.base_url, "/readyz").status_code == 200)
    await asyncio.sleep(LONGER_THAN_BEAT)
    assert pair.takeovers == 0
    assert pair.upstreams.calls[f"/held/{key}"] == 1


async def test_stop_elsewhere_ends_the_run(pair: Fleet, key: str) -> None:
    """A DELETE on another process is answered when the run has ended, for all its viewers."""
    owner, other = pair.members
    async with Audience(owner.base_url) as audience:
        run = await audience.start_run("held", {"key": key})
        for member in pair.members:
            audience.watch(run, base_url=member.base_url)
        await asyncio.to_thread(pair.upstreams.wait_calls, f"/held/{key}")
        assert await audience.delete(run, base_url=other.base_url) == 204
        assert await audience.delete(run) == 204
    assert check_whole(audience.story(run), upstreams=["held"])["reason"] == "stopped"
    await asyncio.to_thread(pair.upstreams.wait_closed_by_peer, f"/held/{key}")


async def test_viewers_elsewhere_keep_a_run(pair: Fleet, key: str) -> None:
    """A run goes on while anybody views it, be it elsewhere, and is abandoned when nobody does."""
    owner, other = pair.members
    async with Audience(owner.base_url) as audience:
        run = await audience.start_run("shared", {"key": key})
        (watching,) = audience.watch(run, base_url=other.base_url)
        await audience.wait_beats(int(LONGER_THAN_LINGER))
        assert pair.upstreams.closed_by_peer[f"/held/{key}"] == 0
        watching.cancel()
        await asyncio.to_thread(pair.upstreams.wait_closed_by_peer, f"/held/{key}", timeout=SOON)
        audience.watch(run)
        await audience.wait_event(run, "done")
    assert audience.story(run).done["reason"] == "abandoned"


async def test_viewers_of_a_dead_process_keep_no_run(pair: Fleet, key: str) -> None:
    """A run is abandoned when the process dies that had its only viewers."""
    owner, other = pair.members
    async with Audience(owner.base_url) as audience:
        run = await audience.start_run("shared", {"key": key})
        (watching,) = audience.watch(run, base_url=other.base_url)
        await audience.wait_event(run, "start")
        await asyncio.to_thread(other.kill)
        watching.cancel()
        await asyncio.to_thread(pair.upstreams.wait_closed_by_peer, f"/held/{key}", timeout=SOON)
        audience.watch(run)
        await audience.wait_event(run, "done")
    assert audience.story(run).done["reason"] == "abandoned"


async def test_stop_reaches_whoever_takes_over(pair: Fleet, key: str) -> None:
    """A run whose process is dead is ended by the one that takes it over."""
    owner, other = pair.members
    async with Audience(other.base_url) as audience:
        run = await audience.start_run("held", {"key": key}, base_url=owner.base_url)
        audience.watch(run)
        await audience.wait_event(run, "start")
        await asyncio.to_thread(owner.kill)
        assert await audience.delete(run) == 204
        await asyncio.to_thread(wait_for_log, other, "taken over", timeout=SOON)
    assert check_whole(audience.story(run), upstreams=["held"])["reason"] == "stopped"
