"""One connection for many: order, scripts that are not known, and a Redis that falters."""

import asyncio
import logging
from contextlib import suppress

import pytest

from streaming.engine import redis_client
from streaming.engine.redis_client import make_client
from streaming.engine.redis_link import MAX_TOGETHER, LinkDown, RedisLink
from streaming.engine.redis_scripts import Script
from tests.fan_out import PATIENCE, until
from tests.redis_links import LossyRelay, linked
from tests.redis_server import RedisServer

APPEND = Script("redis.call('APPEND', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])")
FAIL = Script("return redis.error_reply('MINE no ' .. ARGV[1])")


async def test_all_is_answered_in_order(link: RedisLink) -> None:
    """However many ask at once: more than are sent together."""
    replies = [link.call("INCR", "n") for _ in range(3 * MAX_TOGETHER)]
    assert await asyncio.gather(*replies) == list(range(1, 3 * MAX_TOGETHER + 1))


async def test_all_use_one_connection(redis: RedisServer, link: RedisLink) -> None:
    """Which is listed by its name."""
    await asyncio.gather(*(link.call("PING") for _ in range(100)))
    assert redis.client_names() == ["fanstream-link"]


async def test_a_script_is_sent_whole_where_it_is_not_known(
    redis: RedisServer, link: RedisLink
) -> None:
    """At first, and after Redis has forgotten it; all that ask for it have it run once."""
    assert await link.run_script(APPEND, ["k"], "a") == b"a"
    redis.cli("SCRIPT", "FLUSH")
    replies = [link.run_script(APPEND, ["k"], letter) for letter in "bcd"]
    assert await asyncio.gather(*replies) == [b"ab", b"abc", b"abcd"]
    assert redis.cli("SCRIPT", "EXISTS", APPEND.sha) == [True]


async def test_a_refusal_is_its_askers_alone(link: RedisLink) -> None:
    """Who asks something else at the same time is answered."""
    first, refused, last = (
        link.call("SET", "k", "v"),
        link.call("LPUSH", "k", "v"),
        link.call("GET", "k"),
    )
    with pytest.raises(LinkDown):
        await refused
    assert [await first, await last] == [True, b"v"]


async def test_a_refusal_is_logged_without_what_it_says(
    link: RedisLink, caplog: pytest.LogCaptureFixture
) -> None:
    """Its kind is, once, and that it is over: the rest may hold anything."""
    with caplog.at_level(logging.INFO, logger="fanstream"):
        for _ in range(2):
            with pytest.raises(LinkDown):
                await link.run_script(FAIL, [], "secret")
        assert not link.is_up
        await link.call("PING")
    assert [record.message for record in caplog.records] == [
        "redis (link): ResponseError MINE",
        "redis (link): reachable again",
    ]
    assert link.is_up


async def test_a_redis_that_is_killed_is_down_until_it_is_back(own_redis: RedisServer) -> None:
    """Who asks is told so, and need not make a link anew."""
    async with linked(own_redis.url) as link, asyncio.timeout(PATIENCE):
        await link.call("SET", "k", "v")
        own_redis.kill()
        for _ in range(2):
            with pytest.raises(LinkDown):
                await link.call("GET", "k")
        assert not link.is_up
        own_redis.start()
        assert await link.call("GET", "k") == b"v"
        assert link.is_up


async def test_what_is_lost_is_not_asked_again(redis: RedisServer) -> None:
    """Whether it was done is unknown: who asked knows whether it may be done twice."""
    async with LossyRelay(redis.port) as relay, linked(relay.url) as link:
        await link.call("INCR", "n")
        relay.lose_replies()
        with pytest.raises(LinkDown):
            await link.call("INCR", "n")
        assert relay.lost == 1
        assert await link.call("GET", "n") == b"2"


async def test_a_connection_that_was_reset_is_made_anew(redis: RedisServer) -> None:
    """Though nobody was asking: who asks next may find it down, and who asks then does not."""
    async with LossyRelay(redis.port) as relay, linked(relay.url) as link:
        await link.call("PING")
        writer = link._connection._writer
        relay.reset()
        await until(writer.is_closing)
        with suppress(LinkDown):
            await link.call("PING")
        assert await link.call("GET", "n") is None
        assert link.is_up


async def test_a_redis_that_answers_nothing_is_down(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while; and back as soon as it answers."""
    monkeypatch.setattr(redis_client, "REPLY_TIMEOUT", 0.3)
    async with linked(own_redis.url) as link, asyncio.timeout(PATIENCE):
        await link.call("PING")
        own_redis.freeze()
        with pytest.raises(LinkDown):
            await link.call("PING")
        own_redis.thaw()
        while not link.is_up:
            await asyncio.wait([link.call("PING")])


async def test_a_redis_that_is_full_is_down(own_redis: RedisServer) -> None:
    """For what writes, in a script too, until there is room."""
    async with linked(own_redis.url) as link, asyncio.timeout(PATIENCE):
        await link.run_script(APPEND, ["k"], "a")
        own_redis.cli("CONFIG", "SET", "maxmemory", 1)
        with pytest.raises(LinkDown):
            await link.run_script(APPEND, ["k"], "b")
        assert not link.is_up
        own_redis.cli("CONFIG", "SET", "maxmemory", 0)
        assert await link.run_script(APPEND, ["k"], "c") == b"ac"
        assert link.is_up


@pytest.mark.parametrize("turns", [*range(8), 20])
async def test_it_ends_when_it_is_cancelled(redis: RedisServer, turns: int) -> None:
    """At whatever moment of an exchange; and whoever waits for a reply, or asks then, hears of it.

    A cancellation that meets the reply must not get lost.
    """
    link = RedisLink(make_client(redis.url, name="fanstream-link"), what="link")
    task = asyncio.create_task(link.run())
    async with asyncio.timeout(PATIENCE):
        await link.call("PING")
        reply = link.call("PING")
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=PATIENCE / 2)
        assert task.cancelled()
        for asked in (reply, link.call("PING")):
            await asyncio.wait([asked])
        with pytest.raises(LinkDown):
            await asked


async def test_its_connection_is_closed_with_it(redis: RedisServer) -> None:
    """And is there before."""
    async with linked(redis.url) as link:
        await link.call("PING")
        assert redis.client_names() == ["fanstream-link"]
    await until(lambda: not redis.client_names())
