"""Merging sources that are code: what a feed does for upstreams, for coroutines and iterators.

Nothing here is HTTP. The events are those of a run (CONTRACT "Events") without `start`, so that
what `merge` gives can be yielded by a view as it is.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from typing import Any

from streaming.core.entry import Data
from streaming.core.errors import InternalError, UpstreamError
from streaming.core.event import Event

logger = logging.getLogger("fanstream")

MAX_WAITING_EVENTS = 256
"""Events that sources may be ahead of who reads the merged ones; then they wait."""

Source = Awaitable[Any] | AsyncIterator[Any]


async def merge(**sources: Source) -> AsyncGenerator[Event, None]:
    """Run sources at once, and give what they say as it comes.

    Closing the generator cancels what still runs, and waits for it.

    Args:
        sources: By name: coroutines and other awaitables, whose value becomes the `body` of a
            `result`; async iterators, whose items become `chunk` events, and then a `result`
            without a body. A source that raises becomes a `failure`, with the code of an
            `UpstreamError`, else `internal`; the others go on.

    Yields:
        `chunk`, `result` and `failure` events as they happen, and `done` last, with the data that
        a run's events have.
    """
    merging = _Merging(sources)
    try:
        while (event := await merging.events.get()) is not None:
            yield event
    finally:
        await merging.aclose()


class _Merging:
    """The sources of one `merge`, each in a task of its own."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        # None says that nothing follows.
        self.events: asyncio.Queue[Event | None] = asyncio.Queue(MAX_WAITING_EVENTS)
        self._sources = sources
        self._started = time.monotonic()
        self._ok = self._failed = 0
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        """Cancel what still runs, wait for it, and close iterators that were never started."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for source in self._sources.values():
            await _close(source)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for name, source in self._sources.items():
                group.create_task(self._settle(name, source))
        counts = {"ok": self._ok, "failed": self._failed, "cancelled": 0}
        await self._put("done", {**counts, "elapsed": self._elapsed(), "reason": "finished"})
        await self.events.put(None)

    async def _settle(self, name: str, source: Source) -> None:
        try:
            outcome = await self._result(name, source)
            result = self._event("result", {**outcome, **self._progress()})
        except Exception as exc:  # noqa: BLE001 - the outer edge of the source's own code
            self._failed += 1
            await self._put("failure", self._failure(name, exc))
        else:
            self._ok += 1
            await self.events.put(result)

    async def _result(self, name: str, source: Source) -> Data:
        if isinstance(source, Awaitable):
            body = await source
            return {**self._facts(name), "content_type": None, "body": body}
        chunks = 0
        async for item in source:
            chunks += 1
            await self._put("chunk", {"upstream": name, "n": chunks, "data": item})
        return {**self._facts(name), "content_type": None, "body": None, "chunks": chunks}

    def _failure(self, name: str, exc: Exception) -> Data:
        error = exc if isinstance(exc, UpstreamError) else InternalError()
        if error is not exc:
            logger.error("source %s raised", name, exc_info=exc)
        facts = self._facts(name)
        cause = {"upstream": facts.pop("upstream"), "code": error.code, "message": str(error)}
        done = {"done": self._ok + self._failed, "of": len(self._sources)}
        return {**cause, **facts, **done}

    def _facts(self, name: str) -> Data:
        elapsed = self._elapsed()
        none = {"status": None, "elapsed": elapsed, "first_byte": None, "attempts": 1}
        return {"upstream": name, **none}

    def _progress(self) -> Data:
        return {"done": self._ok + self._failed + 1, "of": len(self._sources)}

    async def _put(self, name: str, data: Data) -> None:
        await self.events.put(self._event(name, data))

    def _event(self, name: str, data: Data) -> Event:
        return Event(name, {"at": self._elapsed(), **data})

    def _elapsed(self) -> float:
        return round(time.monotonic() - self._started, 6)


async def _close(source: Source) -> None:
    if isinstance(source, AsyncGenerator):
        await source.aclose()
    elif close := getattr(source, "close", None):
        # A coroutine that was never awaited would warn of it.
        close()
