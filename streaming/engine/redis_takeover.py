"""Taking over what dead processes executed, and what living ones hand over (docs/redis.md).

A run is gone on with where its feed is the same here, else left to others for a while, and then
ended as `lost`.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from streaming.core.errors_request import LogsFull, TooManyRuns
from streaming.core.feed import Feed
from streaming.core.fingerprint import fingerprint
from streaming.engine.redis_keys import PROCESSES, log_key, meta_key, owned_key, viewers_key
from streaming.engine.redis_link import LinkDown
from streaming.engine.redis_owned import RedisOwned
from streaming.engine.redis_process import RedisProcess
from streaming.engine.redis_scripts import ADOPT
from streaming.engine.run import Run

logger = logging.getLogger("fanstream")

ORPHAN_KEEP = 600.0
"""Seconds that a live run waits in Redis, beyond its timeout, for a process to go on with it."""

GRACE_MS = 10_000
"""Milliseconds that a dead process's run waits for one that can repeat it, before it is `lost`."""

AT_ONCE = 32
"""Runs that are taken over at the same time."""

DEAD_KEEP_MS = 60_000
"""Milliseconds that a dead process is remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A run that is this process's by now.

    Args:
        id: The run's id.
        run: Its copy; None where it has no feed here.
        feed: Its feed; None where that is not the same here.
        token: The fencing token.
        age: Seconds since it began.
        stop: Why it is to be ended; empty where it is not.
    """

    id: str
    run: Run | None
    feed: Feed | None
    token: int
    age: float
    stop: str


GoOn = Callable[[Claim], Awaitable[None]]
"""Goes on with a run."""


def live_ttl_ms(feed: Feed | None) -> int:
    """Return the milliseconds that a live run is in Redis, should nobody go on with it."""
    own = feed.timeout + feed.linger if feed is not None else 0.0
    return int((own + ORPHAN_KEEP) * 1000)


class RedisTakeover:
    """Looks after the runs of dead processes.

    Args:
        process: This process.
        feeds: Those that it could execute.
        owned: The runs that it executes.
        prepare: Called with each before, to have a copy of it; raises `TooManyRuns` or `LogsFull`
            where there is no room for it, and it is left to others.
        go_on: Called with each run that it takes over.
    """

    def __init__(
        self,
        process: RedisProcess,
        *,
        feeds: Mapping[str, Feed],
        owned: RedisOwned,
        prepare: Callable[[str], Awaitable[Run | None]],
        go_on: GoOn,
    ) -> None:
        self._process = process
        self._feeds = feeds
        self._owned = owned
        self._prepare = prepare
        self._go_on = go_on
        self._is_ended = False
        # Those that this process may have taken over without knowing it: the reply was lost.
        self._unsure: set[str] = set()
        self._dead: Mapping[str, int] = {}
        self._any_dead = asyncio.Event()

    def receive_dead(self, dead: Mapping[str, int]) -> None:
        """Take over what these executed; see `RedisLease`."""
        self._dead = dead
        self._any_dead.set()

    def try_again(self) -> None:
        """Look once more at what may have been taken over without knowing it."""
        if self._unsure:
            self._any_dead.set()

    def end(self) -> None:
        """Take nothing over any more."""
        self._is_ended = True

    async def run(self) -> None:
        """Take over what there is to be taken over, until this is cancelled."""
        while True:
            await self._any_dead.wait()
            self._any_dead.clear()
            for process, ago_ms in self._dead.items():
                if not self._is_ended and process != self._process.id:
                    with suppress(LinkDown):
                        await self._adopt_from(process, ago_ms=ago_ms)
            # Another may have seen that these have an owner, and so they are in no dead one's set.
            for id in list(self._unsure):
                if self._is_ended:
                    break
                with suppress(LinkDown):
                    await self._adopt(id, self._process.id, is_late=True)

    async def _adopt_from(self, process: str, *, ago_ms: int) -> None:
        members = await self._process.reads.call("SMEMBERS", owned_key(process))
        ids = [member.decode() for member in members]
        if not ids:
            if ago_ms > DEAD_KEEP_MS:
                await self._process.writes.call("ZREM", PROCESSES, process)
            return
        # Others do the same: in another order, they get in each other's way less.
        random.shuffle(ids)
        at_once = asyncio.Semaphore(AT_ONCE)
        is_late = ago_ms > GRACE_MS

        async def adopt(id: str) -> None:
            # What fails is tried again at the next beat.
            async with at_once:
                with suppress(LinkDown):
                    if not self._is_ended:
                        await self._adopt(id, process, is_late=is_late)

        async with asyncio.TaskGroup() as group:
            for id in ids:
                group.create_task(adopt(id))
        self._owned.count_all()

    async def _adopt(self, id: str, dead: str, *, is_late: bool) -> None:
        process = self._process
        names = ("feed", "fingerprint", "owner", "ended")
        name, seen, owner, ended = await process.reads.call("HMGET", meta_key(id), *names)
        is_mine = owner == process.id.encode() and id in self._unsure
        if owner is None or ended or not (is_mine or owner == dead.encode()):
            self._unsure.discard(id)
            await process.writes.call("SREM", owned_key(dead), id)
            return
        feed = self._feeds.get(name.decode())
        if feed is not None and fingerprint(feed) != seen.decode():
            feed = None
        if feed is None and not is_late:
            return  # another process may be able to go on with it
        try:
            run = await self._prepare(id)
        except (TooManyRuns, LogsFull):
            return  # there may be room elsewhere, or here when it is tried again
        if self._is_ended:
            return
        # First: whatever happens in between, a run is in the set of its owner.
        await process.writes.call("SADD", owned_key(process.id), id)
        self._unsure.add(id)
        claim = await process.writes.run_script(
            ADOPT,
            [meta_key(id), log_key(id), viewers_key(id)],
            *(owner, process.id, live_ttl_ms(feed)),
        )
        self._unsure.discard(id)
        if claim is None:
            await process.writes.call("SREM", owned_key(process.id), id)
            return
        if dead != process.id:
            process.writes.call("SREM", owned_key(dead), id)
        token, age_ms, stop = claim
        logger.info("run=%s taken over", id[:8])
        await self._go_on(
            Claim(
                id=id,
                run=run,
                feed=feed,
                token=token,
                age=age_ms / 1000,
                stop=stop.decode(),
            )
        )
