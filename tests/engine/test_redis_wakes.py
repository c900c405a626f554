"""What Redis says to a process: nothing is missed unnoticed, whatever becomes of the connection."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from streaming.engine import redis_wakes
from streaming.engine.redis_client import make_client
from streaming.engine.redis_link import LinkDown
from streaming.engine.redis_wakes import RedisWakes
from tests.fan_out import PATIENCE, until
from tests.redis_links import LossyRelay, working
from tests.redis_server import RedisServer


class Heard:
    """What was heard.

    Attributes:
        said: Each message: its channel, and what it says.
        ups: How often all was subscribed to.
    """

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.ups = 0

    def receive(self, channel: str, text: str) -> None:
        self.said.append((channel, text))

    def receive_up(self) -> None:
        self.ups += 1


@asynccontextmanager
async def listening(url: str, heard: Heard) -> AsyncIterator[RedisWakes]:
    """Listen to the channel `always`, from the beginning of the block on."""
    client = make_client(url, name="fanstream-wakes")
    on_up: Callable[[], None] = heard.receive_up
    wakes = RedisWakes(client, always=["always"], receive=heard.receive, on_up=on_up)
    async with working(wakes.run()):
        async with asyncio.timeout(PATIENCE):
            await wakes.tried.wait()
        yield wakes


@pytest.fixture(autouse=True)
def is_soon_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_wakes, "RETRY_WAIT", 0.02)


async def test_what_is_said_is_heard(redis: RedisServer) -> None:
    """In order, on a channel that is wanted all the time, from when it was tried."""
    heard = Heard()
    async with listening(redis.url, heard):
        assert heard.ups == 1
        assert [redis.cli("PUBLISH", "always", word) for word in ("one", "two")] == [1, 1]
        await until(lambda: heard.said == [("always", "one"), ("always", "two")])


async def test_nothing_is_missed_once_a_channel_is_subscribed_to(redis: RedisServer) -> None:
    """Redis has confirmed it by then, for all who wait for the same."""
    async with listening(redis.url, Heard()) as wakes, asyncio.timeout(PATIENCE):
        channels = [f"c{n % 10}" for n in range(30)]
        await asyncio.gather(*(wakes.subscribe(channel) for channel in channels))
        subscribers = redis.cli("PUBSUB", "NUMSUB", *channels[:10])[1::2]
        assert subscribers == [1] * 10
        await wakes.subscribe("c0")


async def test_what_is_wanted_no_more_is_not_heard(redis: RedisServer) -> None:
    """And can be wanted again."""
    heard = Heard()
    async with listening(redis.url, heard) as wakes, asyncio.timeout(PATIENCE):
        await wakes.subscribe("c")
        wakes.unwant("c")
        wakes.unwant("never-wanted")
        await until(lambda: redis.cli("PUBSUB", "CHANNELS", "*") == ["always"])
        await wakes.subscribe("c")
        redis.cli("PUBLISH", "c", "again")
        await until(lambda: heard.said == [("c", "again")])


async def test_all_is_subscribed_to_anew_after_a_restart(own_redis: RedisServer) -> None:
    """What was wanted before and what was wanted meanwhile; who listens is told only then."""
    heard = Heard()
    async with listening(own_redis.url, heard) as wakes, asyncio.timeout(PATIENCE):
        await wakes.subscribe("before")
        wakes.want("gone")
        own_redis.kill()
        await until(lambda: wakes._pubsub is None)
        with pytest.raises(LinkDown):
            await wakes.subscribe("meanwhile")
        wakes.unwant("gone")
        assert heard.ups == 1
        own_redis.start()
        await until(lambda: heard.ups == 2)
        assert sorted(own_redis.cli("PUBSUB", "CHANNELS", "*")) == ["always", "before", "meanwhile"]
        await wakes.subscribe("before")


async def test_who_waits_to_be_subscribed_is_told_that_it_is_down(redis: RedisServer) -> None:
    """The connection breaks before Redis has confirmed it."""
    heard = Heard()
    async with (
        LossyRelay(redis.port) as relay,
        listening(relay.url, heard) as wakes,
        asyncio.timeout(PATIENCE),
    ):
        relay.lose_replies()
        with pytest.raises(LinkDown):
            await wakes.subscribe("c")
        await until(lambda: heard.ups == 2)
        await wakes.subscribe("c")


async def test_a_connection_that_is_silent_is_given_up(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for a word first."""
    monkeypatch.setattr(redis_wakes, "SILENCE", 0.1)
    heard = Heard()
    async with listening(own_redis.url, heard) as wakes:
        own_redis.freeze()
        await until(lambda: wakes._pubsub is None)
        own_redis.thaw()
        await until(lambda: heard.ups == 2)


def pings(redis: RedisServer) -> int:
    """How often Redis was asked for a word."""
    return int(redis.cli("INFO", "commandstats").get("cmdstat_ping", {}).get("calls", 0))


async def test_a_connection_with_nothing_to_say_is_kept(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it answers when it is asked."""
    monkeypatch.setattr(redis_wakes, "SILENCE", 0.02)
    heard = Heard()
    async with listening(redis.url, heard) as wakes:
        pubsub = wakes._pubsub
        redis.cli("CONFIG", "RESETSTAT")
        await until(lambda: pings(redis) > 5)
        assert wakes._pubsub is pubsub
        assert heard.ups == 1


async def test_where_redis_never_was_it_is_tried(own_redis: RedisServer) -> None:
    """And who listens is told as soon as it is there."""
    own_redis.kill()
    heard = Heard()
    async with listening(own_redis.url, heard):
        assert heard.ups == 0
        own_redis.start()
        await until(lambda: heard.ups == 1)


@pytest.mark.parametrize("turns", [*range(8), 20])
async def test_it_ends_when_it_is_cancelled(redis: RedisServer, turns: int) -> None:
    """At whatever moment, with its connection."""
    client = make_client(redis.url, name="fanstream-wakes")
    heard = Heard()
    wakes = RedisWakes(client, always=["a"], receive=heard.receive, on_up=heard.receive_up)
    async with asyncio.timeout(PATIENCE), working(wakes.run()):
        await wakes.tried.wait()
        wakes.want("b")
        redis.cli("PUBLISH", "a", "something")
        for _ in range(turns):
            await asyncio.sleep(0)
    await until(lambda: not redis.client_names())
