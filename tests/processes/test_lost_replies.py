"""What Redis has done and nobody was told of: a connection that breaks before the reply."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from streaming.engine.redis_scripts import ADOPT, APPEND, CREATE, SHARE
from tests.processes.audience import Audience
from tests.processes.fleet import Fleet, fleet_of
from tests.processes.ledger import Ledger, check_whole
from tests.processes.losing_relay import LosingRelay
from tests.processes.member import Member
from tests.redis_server import RedisServer
from tests.viewing import ask, eventually

# Seconds. A lease is 5 s, and looks at all runs are 5 s apart.
SOON = 30.0


@pytest.fixture
def relay(redis: RedisServer) -> Iterator[LosingRelay]:
    for script in (ADOPT, APPEND, CREATE, SHARE):
        redis.cli("SCRIPT", "LOAD", script.text)
    with LosingRelay(redis.port) as running:
        yield running


@pytest.fixture
def fleet(redis: RedisServer, relay: LosingRelay, tmp_path: Path) -> Iterator[Fleet]:
    apps = ["quart"] * 3
    with fleet_of(*apps, redis=redis, folder=tmp_path, url=relay.redis_url) as running:
        yield running


@pytest.mark.parametrize("word", [ADOPT.sha, "SREM", "SADD"], ids=["adopt", "srem", "sadd"])
async def test_takeover_unheard_of(fleet: Fleet, relay: LosingRelay, key: str, word: str) -> None:
    """A run is executed by somebody, also where who took it over was not told that it has.

    There are two that try to.
    """
    owner, other, _ = fleet.members
    async with Audience(other.base_url, timeout=60.0) as audience:
        run = await audience.start_run("held", {"key": key}, base_url=owner.base_url)
        audience.watch(run)
        await audience.wait_event(run, "start")
        await asyncio.to_thread(owner.kill)
        relay.lose(word)
        assert await asyncio.to_thread(relay.has_lost.wait, SOON)
        fleet.release(key)
        await audience.wait_event(run, "done", timeout=SOON)
    assert check_whole(audience.story(run), upstreams=["held"])["reason"] == "finished"


@pytest.mark.parametrize("word", [CREATE.sha, SHARE.sha], ids=["create", "share"])
async def test_start_unheard_of(fleet: Fleet, relay: LosingRelay, key: str, word: str) -> None:
    """Who asks again for a shared run gets one that is executed."""
    owner, other, _ = fleet.members
    relay.lose(word)
    async with Audience(owner.base_url) as audience:
        params = {"key": key}
        status, _ = await audience.post("shared", params)
        assert status in (201, 503)
        assert relay.has_lost.is_set()
        # Within 5 s both have what they need again.
        await asyncio.to_thread(eventually, lambda: _is_ready(other))
        status, run = await audience.post("shared", params, base_url=other.base_url)
        assert status in (200, 201)
        audience.watch(run)
        fleet.release(key)
        await audience.wait_event(run, "done", timeout=SOON)
    assert check_whole(audience.story(run), upstreams=["held"])["reason"] == "finished"
    Ledger(fleet.upstreams).check(audience.story(run))


async def test_append_unheard_of(fleet: Fleet, relay: LosingRelay, key: str) -> None:
    """Events whose appending was not heard of are appended once."""
    owner, other, _ = fleet.members
    async with Audience(other.base_url) as audience:
        run = await audience.start_run("mixed", {"key": key}, base_url=owner.base_url)
        for member in fleet.members:
            audience.watch(run, base_url=member.base_url)
        for n in range(5):
            await audience.wait_event(run, "chunk", count=10 + 30 * n)
            relay.lose(APPEND.sha)
            assert await asyncio.to_thread(relay.has_lost.wait, SOON)
    story = audience.story(run)
    assert check_whole(story, upstreams=("quick", "slow", "bought", "lines"))["ok"] == 4
    assert len(story.named("chunk")) == 200
    assert audience.reconnects == 0


def _is_ready(member: Member) -> bool:
    return ask(member.base_url, "/readyz").status_code == 200
