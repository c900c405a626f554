"""A thousand viewers, while what they are served by is killed and started again."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.processes.audience import Audience
from tests.processes.balancer import balancing
from tests.processes.fleet import Fleet, fleet_of
from tests.processes.ledger import Ledger, check_whole
from tests.redis_server import RedisServer

RUNS = 50
VIEWERS = 20
UPSTREAMS = ("quick", "slow", "bought", "lines")

# Seconds over which the runs are started; each lasts 5 s at least.
SPREAD = 20.0

Harm = Callable[[Fleet], Awaitable[None]]


async def test_processes_are_killed_in_turn(redis: RedisServer, tmp_path: Path) -> None:
    """Every viewer sees every event once and in order, whichever process is killed."""
    await _check(_kill_each, redis=redis, folder=tmp_path, min_takeovers=3)


async def test_redis_is_killed(redis: RedisServer, tmp_path: Path) -> None:
    """Every viewer sees every event once and in order, though Redis is killed twice."""
    await _check(_kill_redis, redis=redis, folder=tmp_path, min_takeovers=0)


async def test_both_are_killed(redis: RedisServer, tmp_path: Path) -> None:
    """Every viewer sees every event once and in order, if Redis dies while runs change hands."""
    await _check(_kill_both, redis=redis, folder=tmp_path, min_takeovers=2)


async def _kill_each(fleet: Fleet) -> None:
    for member in fleet.members:
        await asyncio.sleep(3.0)
        await asyncio.to_thread(member.kill)
        await asyncio.sleep(1.0)
        await asyncio.to_thread(member.start)


async def _kill_redis(fleet: Fleet) -> None:
    for away in (0.0, 2.0):
        await asyncio.sleep(5.0)
        await asyncio.to_thread(fleet.redis.kill)
        await asyncio.sleep(away)
        await asyncio.to_thread(fleet.redis.start)


async def _kill_both(fleet: Fleet) -> None:
    for member in fleet.members[:2]:
        await asyncio.sleep(3.0)
        await asyncio.to_thread(member.kill)
        # As a lease ends, and the others take over what was executed there.
        await asyncio.sleep(random.uniform(4.5, 6.0))
        await asyncio.to_thread(fleet.redis.restart)
        await asyncio.to_thread(member.start)


async def _check(harm: Harm, *, redis: RedisServer, folder: Path, min_takeovers: int) -> None:
    began = time.monotonic()
    with (
        fleet_of("quart", "quart", "flask", redis=redis, folder=folder) as fleet,
        balancing(fleet.ports, folder=folder) as url,
    ):
        async with Audience(url) as audience, asyncio.TaskGroup() as group:
            group.create_task(harm(fleet))
            for n in range(RUNS):
                params = {"key": f"run{n}", "slow": random.choice((1.0, 2.0, 3.0))}
                run = await audience.start_run("mixed", params)
                audience.watch(run, viewers=VIEWERS)
                await asyncio.sleep(SPREAD / RUNS)
        ledger = Ledger(fleet.upstreams)
        dones = [check_whole(story, upstreams=UPSTREAMS) for story in audience.stories.values()]
        print(  # noqa: T201 - the figures are for whoever runs this
            f"\n{len(dones)} runs, {audience.summary()}, {audience.reconnects} reconnects,"
            f" {ledger.repeated} repeated calls, {fleet.takeovers} takeovers,"
            f" {sum(done['failed'] for done in dones)} failures,"
            f" {time.monotonic() - began:.1f} s"
        )
        assert len(dones) == RUNS
        assert {done["reason"] for done in dones} == {"finished"}
        assert all(story.ends == VIEWERS for story in audience.stories.values())
        in_all = VIEWERS * sum(len(story.lines) for story in audience.stories.values())
        assert audience.counts["events"] == in_all
        for story in audience.stories.values():
            ledger.check(story)
        ledger.check_bought_once("bought")
        assert fleet.takeovers >= min_takeovers
