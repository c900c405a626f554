"""Writing a log in Redis: each event once, whatever is lost, and never by two.

What is so of every log is in `test_logs`.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from streaming.engine import log_redis
from streaming.engine.log_memory import LogFull
from streaming.engine.log_redis import MIN_KEEP
from streaming.engine.redis_keys import log_key, meta_key, viewers_key, wake_channel
from streaming.engine.redis_link import RedisLink
from tests.fan_out import PATIENCE, until
from tests.log_battery import RedisLogs, WrittenInRedis, names, numbers, read_held
from tests.redis_links import LossyRelay, linked
from tests.redis_server import RedisServer


@pytest.fixture(autouse=True)
def is_soon_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_redis, "RETRY_WAIT", 0.02)


@asynccontextmanager
async def written_in(redis: RedisServer) -> AsyncIterator[WrittenInRedis]:
    """A log in a Redis of the test's own."""
    async with linked(redis.url) as link:
        yield await RedisLogs(link).make()


def add(redis: RedisServer, written: WrittenInRedis, **fields: str) -> None:
    """Write into a run's meta, as another process does."""
    for name, value in fields.items():
        redis.cli("HSET", meta_key(written.run), name, value)


# ---------------------------------------------------------------------- acceptance


async def test_nobody_sees_what_redis_has_not_accepted(own_redis: RedisServer) -> None:
    """Neither while it is away nor as long as it has not answered."""
    async with written_in(own_redis) as written:
        own_redis.freeze()
        assert written.writer.append("chunk", {}) == 2
        assert written.writer.append("result", {}) == 3
        await asyncio.sleep(0.05)
        assert written.log.last == 1
        own_redis.thaw()
        assert await numbers(written) == [1, 2, 3]


async def test_what_is_accepted_is_told_of(redis: RedisServer, redis_logs: RedisLogs) -> None:
    """On the run's channel, with the number of the last event, once for all that came together."""
    written = await redis_logs.make()
    with redis.client() as client, client.pubsub() as pubsub:
        pubsub.subscribe(wake_channel(written.run))
        assert pubsub.get_message(timeout=PATIENCE)["type"] == "subscribe"
        written.writer.extend("chunk", [b"{}"] * 5)
        await written.settle()
        assert pubsub.get_message(timeout=PATIENCE)["data"] == "6"
        assert pubsub.get_message() is None


# --------------------------------------------------------------------------- losses


async def test_a_lost_reply_doubles_nothing(redis: RedisServer) -> None:
    """The same is sent again, with what has come since; what is there already is passed over."""
    async with LossyRelay(redis.port) as relay, linked(relay.url) as link:
        written = await RedisLogs(link).make()
        await link.run_script(log_redis.APPEND, ["none"] * 3, 1, 1, 0, "", "none")
        relay.lose_replies(2)
        written.writer.extend("chunk", [b"1", b"2", b"3"])
        await until(lambda: relay.lost == 1)
        written.writer.extend("chunk", [b"4"])
        await written.settle()
        assert relay.lost == 2
        assert [event[2] for event in read_held(await written.reread())][1:] == [
            b"1",
            b"2",
            b"3",
            b"4",
        ]
        assert redis.cli("XLEN", log_key(written.run)) == 5


async def test_a_redis_that_was_away_gets_all(own_redis: RedisServer) -> None:
    """In order, as soon as it is back."""
    async with written_in(own_redis) as written:
        written.writer.append("chunk", {})
        await written.settle()
        own_redis.kill()
        written.writer.extend("chunk", [b"%d" % n for n in range(2000)])
        await asyncio.sleep(0.1)
        own_redis.start()
        written.writer.append("done", {})
        assert await numbers(written) == [1, *range(1005, 2004)]
        assert (await names(written))[-1] == "done"


async def test_what_redis_has_lost_is_appended_again(
    redis: RedisServer, redis_logs: RedisLogs
) -> None:
    """Under the same numbers, however much it is, and then what is new."""
    written = await redis_logs.make(max_events=5000)
    for n in range(4):
        written.writer.extend("chunk", [b"%d" % n] * 400)
        await written.settle()
    before = read_held(written.log)
    with redis.client() as client:
        client.delete(log_key(written.run))
        client.xadd(log_key(written.run), {"e": "start", "d": before[0][2]}, id="1-0")
    add(redis, written, last="1")
    written.writer.append("result", {})
    await written.settle()
    assert await numbers(written) == list(range(1, 1603))
    assert read_held(await written.reread())[:-1] == before
    assert not written.lost


async def test_what_is_nowhere_any_more_is_lost(redis: RedisServer, redis_logs: RedisLogs) -> None:
    """Redis has lost what is trimmed here by now."""
    written = await redis_logs.make(max_events=3)
    for _ in range(5):
        written.writer.append("chunk", {})
        await written.settle()
    add(redis, written, last="2")
    written.writer.append("chunk", {})
    await until(lambda: written.lost == [True])


# --------------------------------------------------------------------------- owners


async def test_who_is_the_owner_no_more_appends_nothing(
    redis: RedisServer, redis_logs: RedisLogs
) -> None:
    """It is told so, once."""
    written = await redis_logs.make()
    add(redis, written, token="2")
    written.writer.append("chunk", {})
    written.writer.append("done", {}, force=True)
    await until(lambda: bool(written.lost))
    assert written.lost == [False]
    assert redis.cli("XLEN", log_key(written.run)) == 1
    assert read_held(written.log) == read_held(await written.reread())


async def test_a_run_that_is_gone_is_lost(redis: RedisServer, redis_logs: RedisLogs) -> None:
    """It is told so, and nothing of it comes back."""
    written = await redis_logs.make()
    redis.cli("DEL", log_key(written.run), meta_key(written.run))
    written.writer.append("chunk", {})
    await until(lambda: written.lost == [True])
    assert redis.cli("DBSIZE") == 0


async def test_why_a_run_is_to_be_ended_comes_with_the_reply(
    redis: RedisServer, redis_logs: RedisLogs
) -> None:
    """With each, though whoever said it was not heard."""
    written = await redis_logs.make()
    add(redis, written, stop="stopped")
    written.writer.append("chunk", {})
    await written.settle()
    assert written.stops == ["stopped"]


async def test_a_closed_writer_appends_nothing(redis_logs: RedisLogs) -> None:
    """What waited is dropped and its bytes are free again; who waits for it goes on."""
    written = await redis_logs.make()
    held = written.log._budget.used
    written.writer.append("chunk", {})
    flushing = asyncio.create_task(written.settle())
    await asyncio.sleep(0)
    written.writer.close()
    async with asyncio.timeout(PATIENCE):
        await flushing
    written.writer.append("result", {})
    await written.settle()
    assert read_held(written.log)[1:] == []
    assert written.log._budget.used == held


# --------------------------------------------------------------------------- expiry


async def test_an_ended_log_stays_for_a_while(redis: RedisServer, redis_logs: RedisLogs) -> None:
    """As long as its feed says, and long enough for others to read its end; all of it."""
    for keep, least, most in ((60.0, 50.0, 60.0), (0.0, 0.5 * MIN_KEEP, MIN_KEEP)):
        written = await redis_logs.make(keep=keep)
        keys = [meta_key(written.run), log_key(written.run), viewers_key(written.run)]
        redis.cli("SADD", keys[2], "process")
        written.writer.append("result", {})
        await written.settle()
        assert redis.cli("PTTL", keys[0]) > 500_000
        written.writer.append("done", {})
        await written.settle()
        for key in keys:
            assert least * 1000 < redis.cli("PTTL", key) <= most * 1000


# --------------------------------------------------------------------------- bounds


async def test_what_is_trimmed_goes_from_redis_too(
    redis: RedisServer, redis_logs: RedisLogs
) -> None:
    """With the next append; outcomes stay, and how far it goes is said to who reads it anew."""
    written = await redis_logs.make(max_events=10)
    written.writer.append("result", {})
    for _ in range(50):
        written.writer.extend("chunk", [b"{}"] * 5)
        await written.settle()
    assert redis.cli("XLEN", log_key(written.run)) <= 10 + 5
    first, second, *_ = redis.cli("XRANGE", log_key(written.run), "-", "+")
    assert [first[0], second[0]] == ["1-0", "2-0"]
    assert int(redis.cli("HGET", meta_key(written.run), "trimmed")) >= 252 - 15


@pytest.fixture
async def unanswered(redis: RedisServer) -> AsyncIterator[WrittenInRedis]:
    """A log of which Redis takes nothing from now on."""
    async with linked(redis.url) as link:
        written = await RedisLogs(link).make()
        silent = RedisLink(link._client, what="silent")  # nobody works for it
        written.writer._link = silent
        yield written
        written.writer.close()


async def test_what_waits_is_bounded(
    unanswered: WrittenInRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond, the log is full; last words still wait."""
    monkeypatch.setattr(log_redis, "MAX_WAITING_BYTES", 1000)
    unanswered.writer.extend("chunk", [b"x" * 100] * 10)
    with pytest.raises(LogFull):
        unanswered.writer.append("chunk", {})
    assert unanswered.writer.append("failure", {}, force=True) == 12


async def test_who_writes_much_waits_for_redis(
    unanswered: WrittenInRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a while; who writes little does not wait at all."""
    monkeypatch.setattr(log_redis, "FLOWING_BYTES", 1000)
    monkeypatch.setattr(log_redis, "STALL", 0.2)
    durations = []
    for _ in range(2):
        before = time.monotonic()
        await unanswered.writer.give_way()
        durations.append(time.monotonic() - before)
        unanswered.writer.extend("chunk", [b"x" * 1000])
    assert durations[0] < 0.2 <= durations[1] < PATIENCE


async def test_who_waits_for_redis_goes_on_when_it_has_taken_some(
    redis_logs: RedisLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only once the time is over."""
    monkeypatch.setattr(log_redis, "FLOWING_BYTES", 1000)
    monkeypatch.setattr(log_redis, "STALL", 10 * PATIENCE)
    written = await redis_logs.make()
    written.writer.extend("chunk", [b"x" * 1000] * 3)
    async with asyncio.timeout(PATIENCE):
        await written.writer.give_way()
    assert written.log.last == 4
