"""Runs whose process dies, or only seems to: another goes on with them, and it alone."""

import asyncio
from typing import Any

import pytest

from tests.processes.audience import Audience, Story
from tests.processes.fleet import Fleet
from tests.processes.ledger import Ledger, check_whole
from tests.processes.member import wait_for_log

# Seconds. A lease is 5 s.
TAKEOVER = 20.0

UPSTREAMS = ("held", "tokens", "quick")


@pytest.mark.parametrize("is_ended_before", [False, True], ids=["run goes on", "run has ended"])
async def test_frozen_owner_writes_no_more(pair: Fleet, key: str, is_ended_before: bool) -> None:
    """What a process says that was taken for dead, and is not, comes into no log."""
    owner, other = pair.members
    async with Audience(other.base_url) as audience:
        run = await _start(audience, pair, key)
        owner.freeze()
        await asyncio.to_thread(wait_for_log, other, "taken over", timeout=TAKEOVER)
        await asyncio.to_thread(pair.upstreams.wait_calls, f"/held/{key}", 2)
        if is_ended_before:
            pair.release(key)
            await audience.wait_event(run, "done")
        owner.thaw()
        await asyncio.to_thread(wait_for_log, owner, "was taken over", timeout=TAKEOVER)
        audience.watch(run, base_url=owner.base_url)
        pair.release(key)
    _check_taken_over(pair, audience.story(run), key)
    assert audience.story(run).ends == 2


async def test_tokens_of_a_dead_owner_are_not_bought_twice(pair: Fleet, key: str) -> None:
    """A stream that has begun fails with its process; what has said nothing is called again."""
    owner, other = pair.members
    async with Audience(other.base_url) as audience:
        run = await _start(audience, pair, key)
        await asyncio.to_thread(owner.kill)
        await asyncio.to_thread(pair.upstreams.wait_calls, f"/held/{key}", 2, timeout=TAKEOVER)
        pair.release(key)
    _check_taken_over(pair, audience.story(run), key)


async def _start(audience: Audience, fleet: Fleet, key: str) -> str:
    """Start a run on the first process, seen from the second, up to what is held."""
    base_url = fleet.members[0].base_url
    run = await audience.start_run("gated", {"key": key}, base_url=base_url)
    audience.watch(run)
    await audience.wait_event(run, "chunk")
    await audience.wait_event(run, "result", upstream="quick")
    return run


def _check_taken_over(fleet: Fleet, story: Story, key: str) -> None:
    assert check_whole(story, upstreams=UPSTREAMS)["reason"] == "finished"
    (cut,) = story.named("failure")
    assert (cut["upstream"], cut["code"]) == ("tokens", "disconnected")
    assert [chunk["data"] for chunk in story.named("chunk")] == ["first"]
    assert {result["upstream"] for result in story.named("result")} == {"held", "quick"}
    assert _log(fleet, story.run)[-1] == "done"
    assert len(_log(fleet, story.run)) == len(story.lines)
    assert fleet.upstreams.calls[f"/held-stream/{key}"] == 1
    assert fleet.upstreams.calls[f"/json/{key}/quick"] == 1
    assert fleet.upstreams.calls[f"/held/{key}"] == 2
    Ledger(fleet.upstreams).check(story)


def _log(fleet: Fleet, run: str) -> list[str]:
    """The names of the events that are in Redis."""
    entries: list[Any] = fleet.redis.cli("XRANGE", f"fanstream:{{{run}}}:log", "-", "+")
    return [fields["e"] if isinstance(fields, dict) else fields[1] for _, fields in entries]
