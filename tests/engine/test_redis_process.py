"""What one process has of Redis: three connections, and whether they can be relied on."""

import asyncio
import logging

import pytest

from streaming.engine import redis_lease, redis_process
from streaming.engine.redis_keys import ORPHANS, inbox_channel
from streaming.engine.redis_link import LinkDown
from tests.fan_out import PATIENCE, until
from tests.redis_links import LossyRelay
from tests.redis_processes import HearingProcess, hearing
from tests.redis_server import RedisServer


@pytest.fixture(autouse=True)
def is_hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_lease, "BEAT_INTERVAL", 0.02)
    monkeypatch.setattr(redis_process, "RETRY_WAIT", 0.02)


async def test_a_process_has_three_connections(redis: RedisServer) -> None:
    """By the names that the documents have, until it closes."""
    async with hearing(redis.url) as process:
        assert await process.is_reachable()
        await process.reads.call("PING")
        names = ["fanstream-reads", "fanstream-wakes", "fanstream-writes"]
        await until(lambda: redis.client_names() == names)
    await until(lambda: not redis.client_names())


async def test_a_process_hears_what_is_for_it(redis: RedisServer) -> None:
    """And what is for all, from when it can be relied on."""
    async with hearing(redis.url) as process:
        redis.cli("PUBLISH", inbox_channel("another"), "no")
        redis.cli("PUBLISH", inbox_channel(process.id), "yes")
        redis.cli("PUBLISH", ORPHANS, "one")
        await until(lambda: len(process.said) == 2)
        assert process.said == [(inbox_channel(process.id), "yes"), (ORPHANS, "one")]


async def test_what_cannot_work_keeps_nobody_waiting(redis: RedisServer) -> None:
    """An option that redis-py does not have shows only when it connects."""
    process = HearingProcess(f"{redis.url}?nothing=1")
    process.start()
    async with asyncio.timeout(PATIENCE):
        assert not await process.is_reachable()
    await process.aclose()


async def test_a_redis_that_drops_events_is_not_relied_on(own_redis: RedisServer) -> None:
    """From the first question on, be it asked at once."""
    own_redis.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    async with hearing(own_redis.url) as process:
        assert not await process.is_reachable()


async def test_without_redis_it_cannot_be_relied_on(own_redis: RedisServer) -> None:
    """From when that is known until it is back; then it looks for what it has missed."""
    async with hearing(own_redis.url) as process:
        gaps = process.gaps
        own_redis.kill()
        await until(lambda: not process.writes.is_up)
        assert not await process.is_reachable()
        own_redis.start()
        await until(lambda: process.writes.is_up and process.reads.is_up)
        await until(lambda: process.gaps > gaps)
        assert await process.is_reachable()


@pytest.mark.parametrize("name", ["reads", "writes"])
async def test_a_connection_that_was_lost_is_up_again_soon(redis: RedisServer, name: str) -> None:
    """Though nobody asks anything over it: nobody is let to while it is down."""
    async with LossyRelay(redis.port) as relay, hearing(relay.url) as process:
        link = getattr(process, name)
        await link.call("PING")
        asked = link.call("PING")
        relay.cut()
        with pytest.raises(LinkDown):
            await asked
        parts = (process.reads, process.writes, process.wakes)
        await until(lambda: all(part.is_up for part in parts))
        assert await process.is_reachable()


async def test_a_redis_that_evicts_cannot_be_relied_on(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Which is said once in the log."""
    own_redis.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    async with hearing(own_redis.url) as process:
        await until(lambda: process._is_evicting)
        assert not await process.is_reachable()
    errors = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "allkeys-lru" in errors[0]


async def test_where_a_part_has_failed_it_cannot_be_relied_on(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """None should; the log says where, and not what the error says."""

    async def fail() -> None:
        raise RuntimeError("secret")

    async with hearing(redis.url) as process:
        task = asyncio.create_task(fail())
        task.add_done_callback(process._receive_end)
        await until(lambda: process._is_broken)
        assert not await process.is_reachable()
    assert "internal error: RuntimeError" in caplog.text
    assert "RuntimeError: " not in caplog.text
