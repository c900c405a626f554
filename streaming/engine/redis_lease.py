"""The lease of a process: by it the others know that it lives, and it knows which of them do not.

A process that has not reached Redis for a lease is dead to the others. Which of the two it was that
could not be reached nobody can tell, so a process judges others only once it has reached Redis for
a whole lease itself: after Redis was down for all, nobody is taken for dead.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic

from streaming.engine.redis_keys import ORPHANS, PROCESSES
from streaming.engine.redis_link import LinkDown, RedisLink
from streaming.engine.redis_scripts import BEAT, GIVE_BACK

LEASE = 5.0
"""Seconds without a beat after which a process is dead to the others."""

BEAT_INTERVAL = 1.0
"""Seconds between two beats."""

PAUSE = 0.4
"""What part of a lease may be between two replies; beyond it Redis may have been away for all."""


class RedisLease:
    """This process's lease.

    Args:
        process: The process's id.
        link: What it beats over.
        on_dead: Called at each beat with the processes whose lease has ended or was given back, and
            the milliseconds since.
        on_gap: Called where the lease may have ended before it was prolonged: others may have taken
            its runs.
    """

    def __init__(
        self,
        process: str,
        *,
        link: RedisLink,
        on_dead: Callable[[Mapping[str, int]], None],
        on_gap: Callable[[], None],
    ) -> None:
        self.now_ms = 0
        """The time of the Redis server at the last beat."""
        self._process = process
        self._link = link
        self._on_dead = on_dead
        self._on_gap = on_gap
        self._last_beat: float | None = None
        self._since = 0.0
        self._may_judge = False
        self._is_given_back = False
        self._hurried = asyncio.Event()
        self.tried = asyncio.Event()
        """Set once Redis was asked for the first time, whatever became of it."""

    @property
    def is_held(self) -> bool:
        """Say whether Redis was reached within the last lease."""
        return self._last_beat is not None and monotonic() - self._last_beat < LEASE

    def is_alive(self, end: float | None) -> bool:
        """Say whether a process lives, by when its lease ends; None where it has none."""
        return end is not None and end > 0 and (end > self.now_ms or not self._may_judge)

    def hurry(self) -> None:
        """Beat now: something has happened to a process."""
        self._hurried.set()

    async def run(self) -> None:
        """Beat, until this is cancelled or the lease is given back."""
        while not self._is_given_back:
            with suppress(LinkDown):
                await self.beat()
            self.tried.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_INTERVAL):
                    await self._hurried.wait()
            self._hurried.clear()

    async def beat(self) -> None:
        """Prolong the lease.

        Raises:
            LinkDown: Redis is not reached.
        """
        now_ms, ended = await self._link.run_script(
            BEAT, [PROCESSES], self._process, int(LEASE * 1000)
        )
        now = monotonic()
        before, self._last_beat = self._last_beat, now
        if before is None or now - before > PAUSE * LEASE:
            self._since = now
        self.now_ms = now_ms
        self._may_judge = now - self._since >= LEASE
        if before is not None and now - before > LEASE:
            self._on_gap()
        dead = {
            ended[i].decode(): now_ms - abs(score)
            for i, score in ((i, int(float(ended[i + 1]))) for i in range(0, len(ended), 2))
            if self._may_judge or score <= 0
        }
        if dead:
            self._on_dead(dead)

    async def give_back(self) -> None:
        """End the lease: the others may take this process's runs at once.

        Raises:
            LinkDown: Redis is not reached.
        """
        self._is_given_back = True
        await self._link.run_script(GIVE_BACK, [PROCESSES], self._process, ORPHANS)
