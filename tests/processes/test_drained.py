"""A process that is told to end while its runs are live: another takes them at once."""

import asyncio
import time
from pathlib import Path
from uuid import uuid4

from tests.processes.audience import Audience
from tests.processes.balancer import balancing
from tests.processes.fleet import Fleet, fleet_of
from tests.processes.ledger import Ledger, check_whole
from tests.processes.member import wait_for_log
from tests.redis_server import RedisServer

UPSTREAMS = ("held", "tokens", "quick")
HANDED_OVER = "drain: "

# Seconds: less than the lease that would else have to end.
AT_ONCE = 3.0
ROUNDS = 3


async def test_drained_owner_hands_its_runs_over(redis: RedisServer, tmp_path: Path) -> None:
    """Runs that do not finish within a drain go on elsewhere, within less than a lease."""
    with fleet_of("quart", "flask", redis=redis, folder=tmp_path) as fleet:
        async with Audience("") as audience:
            for n in range(ROUNDS):
                await _drain(fleet, audience, n)
        assert fleet.takeovers == ROUNDS


async def test_viewers_of_a_drained_owner_go_elsewhere(redis: RedisServer, tmp_path: Path) -> None:
    """Viewers of the process that ends get `shutdown`, and see the rest of another."""
    with (
        fleet_of("quart", "flask", redis=redis, folder=tmp_path) as fleet,
        balancing(fleet.ports, folder=tmp_path) as url,
    ):
        async with Audience(url) as audience:
            owner = fleet.members[0]
            run = await audience.start_run(
                "mixed", {"key": "a", "slow": 7}, base_url=owner.base_url
            )
            audience.watch(run, viewers=10)
            await audience.wait_event(run, "chunk")
            owner.begin_drain()
            await asyncio.to_thread(owner.wait_end)
        story = audience.story(run)
        assert check_whole(story, upstreams=("quick", "slow", "bought", "lines"))["ok"] == 3
        (cut,) = story.named("failure")
        assert (cut["upstream"], cut["code"]) == ("lines", "disconnected")
        assert audience.counts["shutdown"] >= 1
        assert story.ends == 10
        Ledger(fleet.upstreams).check(story)


async def _drain(fleet: Fleet, audience: Audience, n: int) -> None:
    owner, other = fleet.members if n % 2 == 0 else reversed(fleet.members)
    key = uuid4().hex[:8]
    run = await audience.start_run("gated", {"key": key}, base_url=owner.base_url)
    watching = audience.watch(run, base_url=other.base_url)
    await audience.wait_event(run, "chunk")
    await audience.wait_event(run, "result", upstream="quick")
    ends_before = owner.log().count(HANDED_OVER)
    owner.begin_drain()
    await asyncio.to_thread(wait_for_log, owner, HANDED_OVER, timeout=20.0, count=ends_before + 1)
    began = time.monotonic()
    await asyncio.to_thread(fleet.upstreams.wait_calls, f"/held/{key}", 2, timeout=20.0)
    taken = time.monotonic() - began
    await asyncio.to_thread(owner.wait_end)
    await asyncio.to_thread(owner.start)
    fleet.release(key)
    await asyncio.wait_for(watching[0], 20.0)
    story = audience.story(run)
    assert check_whole(story, upstreams=UPSTREAMS)["reason"] == "finished"
    (cut,) = story.named("failure")
    assert (cut["upstream"], cut["code"]) == ("tokens", "disconnected")
    assert fleet.upstreams.calls[f"/held-stream/{key}"] == 1
    Ledger(fleet.upstreams).check(story)
    assert taken < AT_ONCE, f"round {n}: taken over after {taken:.1f} s"
