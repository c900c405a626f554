"""The lease of a process: who is alive to whom, and who may say so."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from streaming.engine import redis_lease
from streaming.engine.redis_keys import ORPHANS, PROCESSES
from streaming.engine.redis_lease import RedisLease
from streaming.engine.redis_link import LinkDown, RedisLink
from tests.fan_out import PATIENCE, until
from tests.redis_links import linked, working
from tests.redis_server import RedisServer


class Beating(RedisLease):
    """A lease that notes what it says.

    Attributes:
        dead: What was said of others, each time.
        gaps: How often it may have ended unnoticed.
    """

    def __init__(self, process: str, link: RedisLink) -> None:
        super().__init__(process, link=link, on_dead=self.receive_dead, on_gap=self.receive_gap)
        self.dead: list[Mapping[str, int]] = []
        self.gaps = 0

    def receive_dead(self, dead: Mapping[str, int]) -> None:
        self.dead.append(dead)

    def receive_gap(self) -> None:
        self.gaps += 1


@pytest.fixture(autouse=True)
def is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_lease, "LEASE", 0.4)
    monkeypatch.setattr(redis_lease, "BEAT_INTERVAL", 0.02)


@pytest.fixture
async def lease(link: RedisLink) -> AsyncIterator[Beating]:
    """One that beats."""
    lease = Beating("me", link)
    async with working(lease.run()):
        async with asyncio.timeout(PATIENCE):
            await lease.tried.wait()
        yield lease


def ends(redis: RedisServer) -> dict[str, float]:
    """When each process's lease ends."""
    return dict(redis.cli("ZRANGE", PROCESSES, 0, -1, "WITHSCORES"))


async def test_a_process_that_beats_holds_its_lease(redis: RedisServer, lease: Beating) -> None:
    """By the server's clock, and for longer with each beat."""
    first = lease.now_ms
    assert lease.is_held
    assert abs(redis.cli("TIME")[0] - first / 1000) < PATIENCE
    await until(lambda: ends(redis)["me"] > first + 500)


async def test_others_are_not_judged_before_a_whole_lease(
    redis: RedisServer, lease: Beating
) -> None:
    """A process that has only just reached Redis may be the one that was away."""
    redis.cli("ZADD", PROCESSES, lease.now_ms - 100_000, "dead")
    since = lease._since
    await until(lambda: bool(lease.dead))
    assert asyncio.get_running_loop().time() - since >= 0.4
    assert lease.dead[0].keys() == {"dead"}
    assert 100_000 <= lease.dead[0]["dead"] < 200_000


async def test_who_beats_is_not_dead(redis: RedisServer, lease: Beating) -> None:
    """Nor is it to itself."""
    async with linked(redis.url) as link:
        other = Beating("other", link)
        async with working(other.run()):
            redis.cli("ZADD", PROCESSES, lease.now_ms - 10, "dead")
            await until(lambda: len(lease.dead) > 5 and len(other.dead) > 5)
    for each in (lease, other):
        assert {process for dead in each.dead for process in dead} == {"dead"}


async def test_a_lease_that_was_given_back_is_over_at_once(
    redis: RedisServer, lease: Beating
) -> None:
    """To others, who need not have watched for a lease; it does not begin anew."""
    async with linked(redis.url) as link:
        other = Beating("other", link)
        await other.beat()
        with redis.client() as client, client.pubsub() as pubsub:
            pubsub.subscribe(ORPHANS)
            assert pubsub.get_message(timeout=PATIENCE)["type"] == "subscribe"
            await lease.give_back()
            assert pubsub.get_message(timeout=PATIENCE)["data"] == "me"
        await other.beat()
        assert [dead.keys() for dead in other.dead] == [{"me"}]
        assert 0 <= other.dead[0]["me"] < PATIENCE * 1000
    before = ends(redis)
    await asyncio.sleep(0.1)
    assert ends(redis) == before


async def test_one_that_is_hurried_beats_at_once(
    redis: RedisServer, link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once."""
    monkeypatch.setattr(redis_lease, "BEAT_INTERVAL", 10 * PATIENCE)
    lease = Beating("me", link)
    async with working(lease.run()):
        await until(lambda: lease.now_ms > 0)
        redis.cli("ZADD", PROCESSES, -lease.now_ms, "gone")
        lease.hurry()
        await until(lambda: bool(lease.dead))
        await asyncio.sleep(0.05)
    assert [dead.keys() for dead in lease.dead] == [{"gone"}]


async def test_a_lease_that_may_have_ended_is_said(own_redis: RedisServer) -> None:
    """Once Redis is back; and nobody is taken for dead who was away as well."""
    async with linked(own_redis.url) as link:
        lease = Beating("me", link)
        async with working(lease.run()):
            await until(lambda: lease.is_held)
            own_redis.cli("ZADD", PROCESSES, lease.now_ms + 300, "other")
            own_redis.kill()
            await until(lambda: not lease.is_held)
            assert lease.gaps == 0
            own_redis.start()
            await until(lambda: lease.is_held)
            assert (lease.gaps, lease.dead) == (1, [])


async def test_where_redis_is_not_there_it_is_tried(own_redis: RedisServer) -> None:
    """Which is known, and that it is not held."""
    own_redis.kill()
    async with linked(own_redis.url) as link:
        lease = Beating("me", link)
        async with working(lease.run()), asyncio.timeout(PATIENCE):
            await lease.tried.wait()
            assert not lease.is_held
            with pytest.raises(LinkDown):
                await lease.give_back()
