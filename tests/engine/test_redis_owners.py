"""What a process tells the owners of runs, and tells again where it was not heard."""

import os
from collections.abc import AsyncIterator

import pytest

from streaming.core.feed import Feed, Upstream
from streaming.engine import redis_owners
from streaming.engine.redis_keys import inbox_channel, log_key, meta_key, viewers_key
from streaming.engine.redis_owners import RedisOwners
from streaming.engine.redis_scripts import CREATE
from streaming.engine.run import Run
from tests.fan_out import until
from tests.log_battery import MemoryLogs
from tests.redis_links import working
from tests.redis_processes import HearingProcess, hearing
from tests.redis_server import RedisServer

FEED = Feed("it", upstreams={"it": Upstream(url="http://host/")})


@pytest.fixture
async def process(redis: RedisServer) -> AsyncIterator[HearingProcess]:
    async with hearing(redis.url) as process:
        yield process


@pytest.fixture
async def id(process: HearingProcess) -> str:
    """A run whose owner is this process."""
    id = os.urandom(16).hex()
    keys = [meta_key(id), log_key(id)]
    await process.writes.run_script(CREATE, keys, 60_000, "{}", "owner", process.id)
    return id


def heard(process: HearingProcess) -> list[str]:
    """What this process was told as an owner."""
    return [text for channel, text in process.said if channel == inbox_channel(process.id)]


async def test_an_owner_is_told_of_viewers(
    redis: RedisServer, process: HearingProcess, id: str
) -> None:
    """That there are some and that there are none; who has some is in the run's set."""
    owners = RedisOwners(process)
    owners.tell_viewers(id, has_viewers=True)
    await until(lambda: heard(process) == [f"viewers {id}"])
    assert set(redis.cli("SMEMBERS", viewers_key(id))) == {process.id}
    assert 0 < redis.cli("PTTL", viewers_key(id)) <= 60_000
    owners.tell_viewers(id, has_viewers=False)
    await until(lambda: heard(process) == [f"viewers {id}"] * 2)
    assert redis.cli("EXISTS", viewers_key(id)) == 0


async def test_of_a_run_that_is_gone_nothing_is_told(
    redis: RedisServer, process: HearingProcess
) -> None:
    """Nor is anything left in Redis."""
    owners = RedisOwners(process)
    owners.tell_viewers("0" * 32, has_viewers=True)
    owners.tell_expected("0" * 32)
    owners.request_stop("0" * 32, "stopped")
    await process.writes.call("PING")
    assert redis.cli("KEYS", "fanstream:{*") == []


async def test_an_owner_is_told_of_who_may_come(process: HearingProcess, id: str) -> None:
    """Once."""
    RedisOwners(process).tell_expected(id)
    await until(lambda: heard(process) == [f"expected {id}"])


async def test_what_was_not_heard_is_told_again(own_redis: RedisServer) -> None:
    """Of runs with viewers always, and of any that had some, be it forgotten here by now."""
    async with hearing(own_redis.url) as process:
        owners = RedisOwners(process)
        runs = [await make_run() for _ in range(3)]
        for run in runs:
            keys = [meta_key(run.id), log_key(run.id)]
            await process.writes.run_script(CREATE, keys, 60_000, "{}", "owner", process.id)
        own_redis.cli("SADD", viewers_key(runs[0].id), process.id)
        own_redis.kill()
        owners.tell_viewers(runs[0].id, has_viewers=False)
        await until(lambda: owners._unheard == {runs[0].id})
        own_redis.start()
        await until(lambda: process.writes.is_up)
        runs[1].attach()
        owners.tell_viewers_again(runs[1:])
        owners.tell_unheard()
        await until(lambda: own_redis.cli("EXISTS", viewers_key(runs[1].id)) == 1)
        assert [own_redis.cli("EXISTS", viewers_key(run.id)) for run in runs] == [0, 1, 0]
        assert not owners._unheard


async def make_run() -> Run:
    """A run that is executed elsewhere."""
    written = await MemoryLogs().make()
    id = os.urandom(16).hex()
    return Run(id, feed=FEED, params={}, caller="", log=written.log, on_end=lambda run: None)


async def test_an_end_is_asked_for_until_it_has_come(
    redis: RedisServer, process: HearingProcess, id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands in Redis too, for whoever takes the run over; the first reason counts there."""
    monkeypatch.setattr(redis_owners, "STOP_INTERVAL", 0.02)
    owners = RedisOwners(process)
    async with working(owners.run()):
        owners.request_stop(id, "stopped")
        await until(lambda: len(heard(process)) > 3)
        assert set(heard(process)) == {f"stop {id} stopped"}
        owners.request_stop(id, "shutdown")
        await process.writes.call("PING")
        assert redis.cli("HGET", meta_key(id), "stop") == "stopped"
        owners.receive_end(id)
        owners.receive_end(id)
        await process.writes.call("PUBLISH", inbox_channel(process.id), "last")
        await until(lambda: heard(process)[-1] == "last")
        count = len(heard(process))
        await process.writes.call("PING")
        assert len(heard(process)) == count
