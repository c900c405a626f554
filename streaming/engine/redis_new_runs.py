"""New runs in Redis: made, named for all who would join them, taken back if one was sooner."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from streaming.core.feed import Feed
from streaming.core.fingerprint import fingerprint
from streaming.engine.redis_keys import log_key, meta_key, owned_key
from streaming.engine.redis_link import LinkDown
from streaming.engine.redis_process import RedisProcess
from streaming.engine.redis_scripts import CREATE, SHARE, UNSHARE
from streaming.engine.redis_takeover import live_ttl_ms
from streaming.engine.run import Run


class RedisNewRuns:
    """Makes runs in Redis.

    Args:
        process: This process, which owns them.
        find: Finds a run, as `Runs.find`.
        on_unused: Called where something is to be taken back as soon as Redis is reached.
    """

    def __init__(
        self,
        process: RedisProcess,
        *,
        find: Callable[[str], Awaitable[Run | None]],
        on_unused: Callable[[], None],
    ) -> None:
        self._on_unused = on_unused
        self._process = process
        self._find = find
        # What may have been made although nobody was told of it, and the key that may name it.
        self._unused: dict[str, str | None] = {}

    async def make(
        self, id: str, feed: Feed, start: bytes, *, caller: str, share: str | None
    ) -> Run | None:
        """Make a run; or return the live one that the same request joins and was sooner.

        Args:
            id: Its id.
            feed: What is to be executed.
            start: The data of its `start`.
            caller: Who starts it.
            share: The key that names the live run of all who ask for the same; None for none.

        Raises:
            LinkDown: Redis is not reached.
            RequestError: As for `find`.
        """
        other = None
        try:
            await self._create(id, feed, start, caller=caller)
            if share is not None:
                other = await self._share(share, id, ttl_ms=live_ttl_ms(feed))
        except BaseException:
            self.take_back(id, share=share)
            raise
        if other is not None:
            self._unused[id] = share
            # What is not taken back now is by and by.
            with suppress(LinkDown):
                await self.drop_unused()
        return other

    def take_back(self, id: str, *, share: str | None) -> None:
        """Have a run go again that was made, as soon as Redis is reached."""
        self._unused[id] = share
        self._on_unused()

    def unshare(self, share: str, id: str) -> None:
        """Have nobody join a run any more."""
        self._process.writes.run_script(UNSHARE, [share], id)

    async def drop_unused(self) -> None:
        """Take back what was made for nobody.

        Raises:
            LinkDown: Redis is not reached.
        """
        for id, share in list(self._unused.items()):
            if share is not None:
                await self._process.writes.run_script(UNSHARE, [share], id)
            await self._process.writes.call("UNLINK", meta_key(id), log_key(id))
            await self._process.writes.call("SREM", owned_key(self._process.id), id)
            self._unused.pop(id, None)

    async def _create(self, id: str, feed: Feed, start: bytes, *, caller: str) -> None:
        meta = ("owner", self._process.id, "feed", feed.name, "caller", caller)
        # In the set of its owner first, whatever happens in between.
        await asyncio.gather(
            self._process.writes.call("SADD", owned_key(self._process.id), id),
            self._process.writes.run_script(
                CREATE,
                [meta_key(id), log_key(id)],
                *(live_ttl_ms(feed), start, *meta, "fingerprint", fingerprint(feed)),
            ),
        )

    async def _share(self, share: str, id: str, *, ttl_ms: int) -> Run | None:
        """Have others join a new run; or return the one that was sooner, and drop the new one."""
        expected = ""
        while True:
            try:
                named = await self._process.writes.run_script(SHARE, [share], expected, id, ttl_ms)
            except LinkDown:
                # It may be named already, and others join it: that is asked once more.
                named = await self._process.writes.run_script(SHARE, [share], expected, id, ttl_ms)
            expected = named.decode()
            if expected == id:
                return None
            other = await self._find(expected)
            if other is not None and not other.is_stopping:
                return other
