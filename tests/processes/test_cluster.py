"""Keys for Redis Cluster: no command and no script goes across slots."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.audience import Audience
from tests.processes.fleet import Fleet, fleet_of
from tests.processes.ledger import check_whole
from tests.redis_server import RedisServer, redis_serving
from tests.serving import LOOPBACK


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A cluster of one node, which refuses what goes across slots as any other does."""
    with redis_serving(tmp_path, is_cluster=True) as running:
        yield running


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_all_keys_of_a_command_are_in_one_slot(
    redis: RedisServer, tmp_path: Path, key: str, scheme: str
) -> None:
    """Runs are started, shared, watched, stopped, taken over and handed over in a cluster."""
    url = f"{scheme}://{LOOPBACK}:{redis.port}"
    with fleet_of("quart", "flask", redis=redis, folder=tmp_path, url=url) as fleet:
        async with Audience(fleet.members[0].base_url) as audience:
            await _share_and_stop(fleet, audience, f"{key}-1")
            await _take_over(fleet, audience, f"{key}-2")
        _check_commands(redis)


def _check_commands(redis: RedisServer) -> None:
    """See that Redis has refused nothing but scripts that it did not know, which are sent whole."""
    unknown = redis.cli("INFO", "errorstats")["errorstat_NOSCRIPT"]["count"]
    for name, stats in redis.cli("INFO", "commandstats").items():
        refused = stats["failed_calls"] + stats["rejected_calls"]
        assert refused == (unknown if name == "cmdstat_evalsha" else 0), (name, stats)


async def _share_and_stop(fleet: Fleet, audience: Audience, key: str) -> None:
    second = fleet.members[1]
    _, run = await audience.post("shared", {"key": key})
    _, same = await audience.post("shared", {"key": key}, base_url=second.base_url)
    assert run == same
    for member in fleet.members:
        audience.watch(run, base_url=member.base_url)
    await audience.wait_event(run, "start")
    assert await audience.delete(run, base_url=second.base_url) == 204
    await audience.wait_event(run, "done")
    assert audience.story(run).done["reason"] == "stopped"


async def _take_over(fleet: Fleet, audience: Audience, key: str) -> None:
    """Kill who executes a run, and then have who goes on with it hand it back."""
    first, second = fleet.members
    run = await audience.start_run("gated", {"key": key})
    watching = audience.watch(run, base_url=second.base_url)
    await audience.wait_event(run, "chunk")
    await asyncio.to_thread(first.kill)
    await asyncio.to_thread(fleet.upstreams.wait_calls, f"/held/{key}", 2, timeout=20.0)
    await asyncio.to_thread(first.start)
    watching[0].cancel()
    audience.watch(run, base_url=first.base_url)
    second.begin_drain()
    await asyncio.to_thread(fleet.upstreams.wait_calls, f"/held/{key}", 3, timeout=20.0)
    await asyncio.to_thread(second.wait_end)
    fleet.release(key)
    await audience.wait_event(run, "done")
    done = check_whole(audience.story(run), upstreams=("held", "tokens", "quick"))
    assert (done["ok"], done["failed"]) == (2, 1)
