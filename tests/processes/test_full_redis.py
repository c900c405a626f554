"""A Redis without room: what is in flight waits, what is new is refused, and nothing is lost."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from tests.processes.audience import Audience
from tests.processes.fleet import Fleet
from tests.processes.ledger import Ledger, check_whole
from tests.processes.member import Member, wait_for_log
from tests.redis_server import RedisServer
from tests.viewing import ask, eventually, problem

# Beyond what is in Redis when it is bounded: less than a flood of lines of 20 kB.
ROOM_BYTES = 2_000_000


async def test_full_redis_loses_nothing(pair: Fleet, key: str) -> None:
    """Viewers wait with beats while Redis is full, and then see all that was said meanwhile."""
    async with Audience(pair.members[0].base_url) as audience:
        with _bounded(pair.redis):
            run = await audience.start_run("flood", {"key": key})
            for member in pair.members:
                audience.watch(run, viewers=3, base_url=member.base_url)
            await asyncio.to_thread(_wait_refused, pair.members[0])
            await audience.wait_beats(6 * 3)
            assert not audience.story(run).named("done")
        await audience.wait_event(run, "done", timeout=40.0)
        await asyncio.to_thread(_wait_ready, pair)
    story = audience.story(run)
    assert check_whole(story, upstreams=["lines"])["reason"] == "finished"
    assert len(story.named("chunk")) == 400
    assert audience.reconnects == 0
    assert Ledger(pair.upstreams).repeated == 0


async def test_run_too_long_for_a_full_redis_ends_with_limit(pair: Fleet, key: str) -> None:
    """A run whose events do not fit into what may wait ends, and its viewers see where."""
    async with Audience(pair.members[0].base_url) as audience:
        with _bounded(pair.redis):
            run = await audience.start_run("bulk", {"key": key})
            audience.watch(run, viewers=3)
            await asyncio.to_thread(wait_for_log, pair.members[0], "reason=limit", timeout=20.0)
        await audience.wait_event(run, "done", timeout=20.0)
    story = audience.story(run)
    done = check_whole(story, upstreams=[*(f"text{n}" for n in range(12)), "never"])
    assert done["reason"] == "limit"
    assert story.named("failure", code="too_large")
    # What may wait is 8 MiB, less than one answer; before it come those for which there was room.
    assert 7_000_000 < sum(map(len, story.lines)) < 11_000_000
    assert audience.reconnects == 0


@contextmanager
def _bounded(redis: RedisServer) -> Iterator[None]:
    """Leave Redis little room for the block."""
    used = redis.cli("INFO", "memory")["used_memory"]
    redis.cli("CONFIG", "SET", "maxmemory", used + ROOM_BYTES)
    try:
        yield
    finally:
        redis.cli("CONFIG", "SET", "maxmemory", 0)


def _wait_refused(owner: Member) -> None:
    """Wait until the owner of a run, whose events Redis does not take, says that it is not ready.

    Others may be, as long as there is room for what they say: less than for many events at once.
    """

    def is_refused() -> bool:
        readiness = ask(owner.base_url, "/readyz")
        if readiness.status_code == 200:
            return False
        assert problem(readiness)["type"] == "urn:fanstream:log-unreachable"
        return True

    eventually(is_refused)


def _wait_ready(fleet: Fleet) -> None:
    for member in fleet.members:
        eventually(lambda member=member: _is_ready(member))


def _is_ready(member: Member) -> bool:
    return ask(member.base_url, "/readyz").status_code == 200
