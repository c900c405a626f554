"""The copies of runs' logs that a process reads from Redis, for its viewers.

One task reads for all runs, on one connection, whatever the number of viewers: from where each copy
ends, when it is told that there is more.
"""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from streaming.engine.backlog import Backlog
from streaming.engine.log_memory import TRIMMED_FIRST, MemoryLog
from streaming.engine.redis_keys import log_key, meta_key
from streaming.engine.redis_link import LinkDown, RedisLink

READ_TOGETHER = 256
"""Events of a run that are read at once; what is beyond has its turn after the other runs'."""

RETRY_WAIT = 0.25
"""Seconds until what could not be read is tried again."""

_Event = tuple[str, int, bytes]


class RedisReader:
    """Keeps copies of logs up to date.

    Args:
        link: What is read over.
    """

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._followed: dict[str, MemoryLog] = {}
        self._woken: Backlog[str] = Backlog()

    def follow(self, run: str, log: MemoryLog) -> None:
        """Keep a run's copy up to date from now on."""
        self._followed[run] = log
        self.wake(run)

    def unfollow(self, run: str, log: MemoryLog) -> None:
        """Read no more of a run into this copy; harmless where it was not followed."""
        if self._followed.get(run) is log:
            del self._followed[run]

    def wake(self, run: str) -> None:
        """Read what is new of a run; harmless where it is not followed."""
        if run in self._followed:
            self._woken.add(run)

    async def catch_up(self, run: str, log: MemoryLog) -> None:
        """Read all that there is of a run now.

        Raises:
            LinkDown: Redis is not reached.
        """
        while not log.is_ended:
            reply = await self._ask(run, log)
            if not await self._take(run, log, reply):
                return

    async def run(self) -> None:
        """Read what is woken, until this is cancelled."""
        while True:
            woken = await self._woken.take()
            runs = [(run, log) for run in woken if (log := self._followed.get(run)) is not None]
            try:
                replies = [self._ask(run, log) for run, log in runs]
                for (run, log), asked in zip(runs, replies, strict=True):
                    reply = await asked
                    # Followed no more, it may be written here by now.
                    is_followed = self._followed.get(run) is log
                    if is_followed and await self._take(run, log, reply):
                        self._woken.add(run)
            except LinkDown:
                for run, _ in runs:
                    self._woken.add(run)
                await asyncio.sleep(RETRY_WAIT)

    def _ask(self, run: str, log: MemoryLog) -> "asyncio.Future[Any]":
        start = f"{log.last + 1}-0"
        return self._link.call("XRANGE", log_key(run), start, "+", "COUNT", READ_TOGETHER)

    async def _take(self, run: str, log: MemoryLog, reply: Any) -> bool:
        """Take what was read into the copy; say whether there may be more."""
        events = [event for event in _events(reply) if event[1] > log.last]
        # `start` and the outcomes are never trimmed, so a gap may be anywhere.
        if events and events[-1][1] != log.last + len(events):
            await self._read_anew(run, log)
            return False
        for name, group in groupby(events, key=itemgetter(0)):
            log.take(name, [payload for _, _, payload in group])
        return len(reply) == READ_TOGETHER

    async def _read_anew(self, run: str, log: MemoryLog) -> None:
        """Read all that is left of a log of which some was trimmed before it was read."""
        events: list[_Event] = []
        while True:
            start = f"{events[-1][1] + 1 if events else 1}-0"
            reply = await self._link.call(
                "XRANGE", log_key(run), start, "+", "COUNT", READ_TOGETHER
            )
            events += _events(reply)
            if len(reply) == READ_TOGETHER:
                continue
            if not events:
                return  # it is gone
            # Asked after reading, as a log may be trimmed with every event: beyond what was trimmed
            # by now there is no gap in what was read, and before it only some of what is gone.
            trimmed = await self._read_trimmed(run)
            if events[-1][1] >= trimmed:
                break
        if events[-1][1] > log.last:  # nobody else has read it meanwhile
            left = [e for e in events if e[1] > trimmed or e[0] not in TRIMMED_FIRST]
            log.restore(left, trimmed_through=trimmed)

    async def _read_trimmed(self, run: str) -> int:
        return int(await self._link.call("HGET", meta_key(run), "trimmed") or 0)


def _events(reply: Sequence[Any]) -> Iterator[_Event]:
    for id, fields in reply:
        yield fields[1].decode(), int(id.partition(b"-")[0]), fields[3]
