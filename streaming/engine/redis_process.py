"""What one process has of Redis: its id, its three connections, its lease.

Whatever runs and viewers it has, one connection listens, one reads, one writes (docs/redis.md).
"""

import asyncio
import logging
import traceback
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from streaming.core.errors import ConfigError
from streaming.engine.redis_check import EvictingRedis, check_redis
from streaming.engine.redis_client import make_client
from streaming.engine.redis_keys import ORPHANS, PROCESSES, inbox_channel
from streaming.engine.redis_lease import RedisLease
from streaming.engine.redis_link import LinkDown, RedisLink
from streaming.engine.redis_reader import RedisReader
from streaming.engine.redis_wakes import RedisWakes

logger = logging.getLogger("fanstream")

RETRY_WAIT = 0.5
"""Seconds until what Redis did not take is tried again."""


class RedisProcess:
    """This process, among all that share a Redis.

    Args:
        url: The URL of `[log]`.
        id: An unguessable name.
        receive: Called with each message: its channel, and what it says.
        on_gap: Called where something may not have been heard.
        on_dead: See `RedisLease`.
    """

    def __init__(
        self,
        url: str,
        *,
        id: str,
        receive: Callable[[str, str], None],
        on_gap: Callable[[], None],
        on_dead: Callable[[Mapping[str, int]], None],
    ) -> None:
        self.id = id
        self._url = url
        self.writes = RedisLink(
            make_client(url, name="fanstream-writes", timeout=None), what="writes"
        )
        self.reads = RedisLink(make_client(url, name="fanstream-reads", timeout=None), what="reads")
        self.reader = RedisReader(self.reads)
        self.wakes = RedisWakes(
            make_client(url, name="fanstream-wakes"),
            always=(ORPHANS, inbox_channel(id)),
            receive=receive,
            on_up=on_gap,
        )
        self.lease = RedisLease(id, link=self.writes, on_dead=on_dead, on_gap=on_gap)
        self._checked = asyncio.Event()
        self._is_evicting = False
        self._is_broken = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, *works: Coroutine[Any, Any, None]) -> None:
        """Start to work, and have these work as long, until `aclose`."""
        parts = (self.writes, self.reads, self.reader, self.wakes, self.lease)
        loop = asyncio.get_running_loop()
        own = (self._check_policy(), self._look_whether_up())
        for work in (*(part.run() for part in parts), *own, *works):
            task = loop.create_task(work)
            task.add_done_callback(self._receive_end)
            self._tasks.append(task)

    async def is_reachable(self) -> bool:
        """Say whether Redis takes and gives, once it was asked for the first time."""
        for tried in (self.lease.tried, self.wakes.tried, self._checked):
            await tried.wait()
        are_up = self.writes.is_up and self.reads.is_up and self.wakes.is_up
        return self.lease.is_held and are_up and not (self._is_evicting or self._is_broken)

    async def aclose(self) -> None:
        """Close the connections, and end all that works."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _look_whether_up(self) -> None:
        """Ask something over the link for reading, as nobody else may while it is down."""
        while True:
            await asyncio.sleep(RETRY_WAIT)
            if not self.reads.is_up:
                with suppress(LinkDown):
                    await self.reads.call("EXISTS", PROCESSES)

    async def _check_policy(self) -> None:
        """Look once whether this Redis will do, and say why where it will not."""
        while True:
            try:
                await check_redis(self._url)
            except ConfigError as exc:
                self._is_evicting = isinstance(exc, EvictingRedis)
                if self._is_evicting:
                    logger.error("%s", exc)
                elif not self._checked.is_set():
                    logger.warning("%s", exc)
            else:
                self._is_evicting = False
                self._checked.set()
                return
            self._checked.set()
            if self._is_evicting:
                return
            await asyncio.sleep(RETRY_WAIT)

    def _receive_end(self, task: asyncio.Task[None]) -> None:
        """Serve no more where a part of this has failed, which none of them should."""
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._is_broken = True
            where = "".join(traceback.format_tb(fault.__traceback__))
            # Nobody is to wait for what does not come any more.
            for tried in (self.lease.tried, self.wakes.tried, self._checked):
                tried.set()
            logger.critical("internal error: %s\n%s", type(fault).__name__, where)
