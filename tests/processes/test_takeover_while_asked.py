"""Runs that are asked for while they are taken over: what is read meanwhile is written once."""

import asyncio
from pathlib import Path

import aiohttp

from tests.processes.audience import Audience
from tests.processes.fleet import fleet_of
from tests.processes.ledger import Ledger, check_whole
from tests.redis_server import RedisServer

RUNS = 10
ASKERS = 100


async def test_takeover_of_runs_that_are_asked_for(
    redis: RedisServer, tmp_path: Path, key: str
) -> None:
    """Each run is told once, though its state is asked for all the time."""
    with fleet_of("quart", "quart", redis=redis, folder=tmp_path) as fleet:
        owner, other = fleet.members
        async with Audience(other.base_url) as audience:
            runs = []
            for n in range(RUNS):
                params = {"key": f"{key}-{n}"}
                runs.append(await audience.start_run("gated", params, base_url=owner.base_url))
                audience.watch(runs[-1])
            for run in runs:
                await audience.wait_event(run, "chunk")
            async with asyncio.TaskGroup() as group:
                asking = [group.create_task(_ask(other.base_url, runs)) for _ in range(ASKERS)]
                await asyncio.to_thread(owner.kill)
                for run in runs:
                    await audience.wait_event(run, "failure")
                for task in asking:
                    task.cancel()
            for n in range(RUNS):
                fleet.release(f"{key}-{n}")
        for run in runs:
            check_whole(audience.story(run), upstreams=("held", "tokens", "quick"))
            Ledger(fleet.upstreams).check(audience.story(run))


async def _ask(base_url: str, runs: list[str]) -> None:
    """Ask for the state of each run in turn, until this is cancelled."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        while True:
            for run in runs:
                async with session.get(f"{base_url}/runs/{run}?format=json") as response:
                    await response.read()
