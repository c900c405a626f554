"""Copies of logs: up to date soon, whole again after a gap, whatever happens to Redis meanwhile."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from streaming.engine import redis_reader
from streaming.engine.log_memory import MemoryLog
from streaming.engine.redis_link import LinkDown, RedisLink
from streaming.engine.redis_reader import READ_TOGETHER, RedisReader
from tests.fan_out import PATIENCE, until
from tests.log_battery import RedisLogs, WrittenInRedis, make_budget, read_entries, read_held
from tests.redis_links import LossyRelay, linked, working
from tests.redis_server import RedisServer


def copy(written: WrittenInRedis) -> MemoryLog:
    """A copy with nothing in it."""
    return MemoryLog(written.run, budget=make_budget(), **written.bounds)


@pytest.fixture
async def reader(link: RedisLink) -> AsyncIterator[RedisReader]:
    reader = RedisReader(link)
    async with working(reader.run()):
        yield reader


async def test_a_copy_that_is_followed_has_all_soon(
    redis_logs: RedisLogs, reader: RedisReader
) -> None:
    """What was there, however much, and what is new once it is told of."""
    written = await redis_logs.make(max_events=5000)
    written.writer.extend("chunk", [b"{}"] * (3 * READ_TOGETHER))
    await written.settle()
    log = copy(written)
    reader.follow(written.run, log)
    await until(lambda: log.last == written.log.last)
    written.writer.append("done", {})
    await written.settle()
    assert log.last == written.log.last - 1
    reader.wake(written.run)
    await until(lambda: log.is_ended)
    assert read_held(log) == read_held(written.log)


async def test_a_copy_that_is_followed_no_more_stays_as_it_is(
    redis_logs: RedisLogs, reader: RedisReader
) -> None:
    """Be it that something was asked for it already: it may be written here by now."""
    gone, kept = await redis_logs.make(), await redis_logs.make()
    logs = [copy(gone), copy(kept)]
    reader.follow(gone.run, logs[0])
    reader.follow(kept.run, logs[1])
    await asyncio.sleep(0)
    reader.unfollow(gone.run, logs[0])
    reader.unfollow(gone.run, logs[0])
    reader.wake(gone.run)
    await until(lambda: logs[1].last == 1)
    assert logs[0].last == 0


async def test_a_copy_that_has_missed_something_is_whole_again(
    redis_logs: RedisLogs, reader: RedisReader
) -> None:
    """Some was trimmed before it was read: it is told of, and what is left is there."""
    written = await redis_logs.make(max_events=4)
    written.writer.append("chunk", {})
    await written.settle()
    log = copy(written)
    reader.follow(written.run, log)
    await until(lambda: log.last == 2)
    for name in ("chunk", "result", "chunk", "chunk", "chunk"):
        written.writer.append(name, {})
        await written.settle()
    reader.wake(written.run)
    await until(lambda: log.last == 7)
    assert read_held(log) == read_held(written.log)
    assert log.trimmed_through == written.log.trimmed_through == 5


async def test_a_gap_is_seen_wherever_it_is(redis_logs: RedisLogs, link: RedisLink) -> None:
    """Behind the start and behind outcomes, which are never trimmed: the numbers stay right."""
    written = await redis_logs.make(max_events=5)
    for name in ("chunk", "chunk", "result", "chunk", "chunk", "chunk"):
        written.writer.append(name, {})
        await written.settle()
    log = copy(written)
    await RedisReader(link).catch_up(written.run, log)
    assert [(entry.n, entry.name) for entry in read_entries(log)] == [
        (1, "start"),
        (4, "result"),
        (5, "chunk"),
        (6, "chunk"),
        (7, "chunk"),
    ]


async def test_a_log_that_is_trimmed_all_the_time_can_be_read(
    redis_logs: RedisLogs, link: RedisLink
) -> None:
    """While something is trimmed before each reply: what it holds then, and no gap is untold."""
    written = await redis_logs.make(max_events=2000)
    written.writer.extend("chunk", [b"{}"] * 4000)
    await written.settle()

    async def go_on() -> None:
        while True:
            written.writer.append("chunk", {})
            await written.settle()

    async with working(go_on()), asyncio.timeout(PATIENCE):
        log = copy(written)
        await RedisReader(link).catch_up(written.run, log)
    assert log.trimmed_through > 2000
    read = [entry.n for entry in read_entries(log)]
    assert read == [1, *range(log.trimmed_through + 1, log.last + 1)]


async def test_there_is_nothing_to_be_read_of_what_there_is_not(link: RedisLink) -> None:
    """A copy of it stays empty."""
    log = MemoryLog("0" * 32, budget=make_budget(), max_events=10, max_bytes=1000)
    await RedisReader(link).catch_up("0" * 32, log)
    assert log.last == 0


async def test_what_could_not_be_read_is_read_later(
    redis: RedisServer, redis_logs: RedisLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to ask for it again."""
    monkeypatch.setattr(redis_reader, "RETRY_WAIT", 0.01)
    written = await redis_logs.make()
    log = copy(written)
    async with LossyRelay(redis.port) as relay, linked(relay.url) as link:
        await link.call("PING")
        reader = RedisReader(link)
        relay.lose_replies(3)
        async with working(reader.run()):
            reader.follow(written.run, log)
            await until(lambda: log.last == 1)
        assert relay.lost == 3
        relay.lose_replies()
        with pytest.raises(LinkDown):
            await reader.catch_up(written.run, copy(written))


async def test_a_run_with_much_to_be_read_keeps_no_other_waiting(
    redis_logs: RedisLogs, reader: RedisReader
) -> None:
    """They take turns."""
    much, little = await redis_logs.make(max_events=9000), await redis_logs.make()
    much.writer.extend("chunk", [b"{}"] * (30 * READ_TOGETHER))
    await much.settle()
    logs = [copy(much), copy(little)]
    progress: list[int] = []
    logs[1].add_wake(lambda: progress.append(logs[0].last))
    reader.follow(much.run, logs[0])
    reader.follow(little.run, logs[1])
    await until(lambda: logs[0].last == much.log.last)
    assert progress[0] <= READ_TOGETHER
