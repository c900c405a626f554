"""What a process executes: whose viewers it counts, what it is told to end, what it has lost.

What becomes of runs then is in `test_runs_redis`.
"""

from collections.abc import AsyncIterator

import pytest

from streaming.engine import redis_lease
from streaming.engine.alarms import Alarms
from streaming.engine.log_memory import MemoryLog
from streaming.engine.redis_keys import PROCESSES, log_key, meta_key, owned_key, viewers_key
from streaming.engine.redis_owned import Owned, RedisOwned
from streaming.engine.redis_scripts import CREATE
from tests.fan_out import until
from tests.log_battery import make_budget
from tests.redis_links import working
from tests.redis_processes import HearingProcess, hearing
from tests.redis_server import RedisServer

ID = "0" * 32


class NotingExecution:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def attach(self) -> None:
        self.told.append("attach")

    def detach(self) -> None:
        self.told.append("detach")

    def expect_viewer(self) -> None:
        self.told.append("expect")

    def stop(self, reason: str) -> None:
        self.told.append(reason)

    def halt(self) -> None:
        self.told.append("halt")


class Case:
    """A process that executes one run.

    Attributes:
        lost: Whether the run was gone altogether, each time that it was said to be lost.
    """

    def __init__(self, process: HearingProcess) -> None:
        self.lost: list[bool] = []
        self.process = process
        self.owned = RedisOwned(process, alarms=Alarms(), on_lost=self.receive_lost)
        self.execution = NotingExecution()

    async def take(self) -> Owned:
        meta = ("owner", self.process.id)
        keys = [meta_key(ID), log_key(ID)]
        await self.process.writes.run_script(CREATE, keys, 60_000, "{}", *meta)
        await self.process.writes.call("SADD", owned_key(self.process.id), ID)
        log = MemoryLog(ID, budget=make_budget(), max_events=100, max_bytes=1 << 20)
        log.take("start", [b"{}"])
        owned = self.owned.take(ID, log, token=1, keep=1.0)
        owned.execution = self.execution  # type: ignore[assignment]
        return owned

    def receive_lost(self, id: str, is_gone: bool) -> None:
        self.lost.append(is_gone)
        self.owned.drop(id)


@pytest.fixture
async def case(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Case]:
    monkeypatch.setattr(redis_lease, "BEAT_INTERVAL", 0.02)
    async with hearing(redis.url) as process:
        case = Case(process)
        await case.take()
        async with working(case.owned.run()):
            yield case


def live(redis: RedisServer, process: str, *, seconds: int = 60) -> None:
    """Have another process live for so long."""
    redis.cli("ZADD", PROCESSES, redis.cli("TIME")[0] * 1000 + seconds * 1000, process)


async def test_each_process_with_viewers_counts_once(redis: RedisServer, case: Case) -> None:
    """As long as it has some; this process counts its own by itself."""
    for process in ("one", "two"):
        live(redis, process)
        redis.cli("SADD", viewers_key(ID), process)
    redis.cli("SADD", viewers_key(ID), case.process.id)
    for _ in range(3):
        case.owned.count(ID)
    await until(lambda: case.execution.told == ["attach", "attach"])
    redis.cli("SREM", viewers_key(ID), "one")
    case.owned.count(ID)
    await until(lambda: case.execution.told == ["attach", "attach", "detach"])


async def test_the_viewers_of_dead_processes_do_not_count(redis: RedisServer, case: Case) -> None:
    """Of one that never was, of one that is dead, and of one that has died meanwhile."""
    case.process.lease._since = float("-inf")
    await until(lambda: case.process.lease._may_judge)
    live(redis, "dead", seconds=-5)
    live(redis, "dying")
    redis.cli("SADD", viewers_key(ID), "dead", "dying", "none")
    case.owned.count_all()
    await until(lambda: case.execution.told == ["attach"])
    live(redis, "dying", seconds=-5)
    case.owned.count_all()
    await until(lambda: case.execution.told == ["attach", "detach"])


async def test_the_viewers_of_processes_that_may_live_count(redis: RedisServer, case: Case) -> None:
    """After Redis was away no lease holds; only what was given back is known to be dead."""
    live(redis, "away", seconds=-5)
    redis.cli("ZADD", PROCESSES, -5, "gone")
    redis.cli("SADD", viewers_key(ID), "away", "gone")
    (viewing,) = await case.owned.viewing([ID])
    assert viewing == {"away"}


async def test_what_is_said_of_a_run_reaches_its_execution(case: Case) -> None:
    """And of a run that is not executed here nothing."""
    for id in (ID, "1" * 32):
        case.owned.expect_viewer(id)
        case.owned.stop(id, "stopped")
        case.owned.count(id)
    assert case.execution.told == ["expect", "stopped"]


async def test_an_end_that_was_not_heard_of_is_seen(redis: RedisServer, case: Case) -> None:
    """When it is looked for."""
    await case.owned.check(together=10, pause=0.0)
    assert case.execution.told == []
    redis.cli("HSET", meta_key(ID), "stop", "stopped")
    await case.owned.check(together=10, pause=0.0)
    assert case.execution.told == ["stopped"]


@pytest.mark.parametrize("is_gone", [True, False])
async def test_a_run_that_is_lost_is_seen(redis: RedisServer, case: Case, is_gone: bool) -> None:
    """Though nothing is appended; it is nobody's or another's."""
    if is_gone:
        redis.cli("DEL", meta_key(ID), log_key(ID))
    else:
        redis.cli("HINCRBY", meta_key(ID), "token", 1)
    await case.owned.check(together=10, pause=0.0)
    await case.owned.check(together=10, pause=0.0)
    assert case.lost == [is_gone]
    assert ID not in case.owned
    await case.owned.wait_idle()


async def test_what_is_dropped_is_owned_no_more(redis: RedisServer, case: Case) -> None:
    """In Redis too, so that nobody takes it over."""
    assert redis.cli("EXISTS", owned_key(case.process.id)) == 1
    assert case.owned.drop(ID) is not None
    assert case.owned.drop(ID) is None
    await until(lambda: not redis.cli("EXISTS", owned_key(case.process.id)))


async def test_what_is_handed_over_is_whole(redis: RedisServer, case: Case) -> None:
    """All that was said is in Redis; the run is left to who takes it, and nothing follows."""
    writer = case.owned._owned[ID].writer
    writer.extend("chunk", [b"{}"] * 50)
    await case.owned.hand_over(within=10.0)
    writer.append("chunk", {})
    assert case.execution.told == ["halt"]
    assert redis.cli("XLEN", log_key(ID)) == 51
    assert set(redis.cli("SMEMBERS", owned_key(case.process.id))) == {ID}
    assert float(redis.cli("ZSCORE", PROCESSES, case.process.id)) < 0
    await case.owned.wait_idle()


async def test_what_cannot_be_handed_over_is_left(own_redis: RedisServer) -> None:
    """After a while: the others find out by themselves."""
    async with hearing(own_redis.url) as process:
        case = Case(process)
        owned = await case.take()
        own_redis.freeze()
        owned.writer.append("chunk", {})
        await case.owned.hand_over(within=0.1)
        await case.owned.wait_idle()
        assert case.execution.told == ["halt"]
        own_redis.thaw()
