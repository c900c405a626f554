"""Who takes whom for dead: only what Redis could have heard of, and has not."""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any

import pytest

from streaming.engine.redis_client import make_client
from streaming.engine.redis_lease import BEAT_INTERVAL, LEASE, RedisLease
from streaming.engine.redis_link import RedisLink
from tests.redis_server import RedisServer


@pytest.mark.parametrize("away", [LEASE - 1.5, LEASE - 0.4, LEASE + 1.0])
async def test_nobody_is_dead_because_redis_was_away(redis: RedisServer, away: float) -> None:
    """A process that beats, and waits for another reply first, is not dead behind a pause."""
    dead: list[Mapping[str, int | None]] = []
    async with AsyncExitStack() as stack:
        first = RedisLink(make_client(redis.url, name="first"), what="first")
        second = RedisLink(make_client(redis.url, name="second"), what="second")
        leases = [
            RedisLease("first", link=first, on_dead=dead.append, on_gap=_nothing),
            RedisLease("second", link=second, on_dead=dead.append, on_gap=_nothing),
        ]
        for work in (first.run(), second.run(), leases[1].run()):
            _start(stack, work)
        # Their beats are 0.8 s apart.
        await asyncio.sleep(0.8 * BEAT_INTERVAL)
        _start(stack, leases[0].run())
        # Within its first lease nobody judges others.
        await asyncio.sleep(LEASE + BEAT_INTERVAL)
        assert leases[0]._last_beat is not None
        await asyncio.sleep(leases[0]._last_beat + 1.05 * BEAT_INTERVAL - monotonic())
        redis.freeze()
        second.call("SET", "x", 1)
        await asyncio.sleep(away)
        redis.thaw()
        await asyncio.sleep(2 * BEAT_INTERVAL)
    assert dead == []


def _nothing() -> None:
    """Take a gap as it is."""


def _start(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.wait([task])

    stack.push_async_callback(end)
