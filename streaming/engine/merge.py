"""Merging sources that are code: what a feed does for upstreams, for coroutines and iterators.

Nothing here is HTTP. The events are those of a run (CONTRACT "Events") without `start`, so that
what `merge` gives can be yielded by a view as it is.
"""

import asyncio
import logging
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Coroutine, Iterable, Mapping
from typing import Any

from streaming.core.entry import Data
from streaming.core.errors_upstream import Cancelled, InternalError, UpstreamError
from streaming.core.event import Event

logger = logging.getLogger("fanstream")

MAX_WAITING_EVENTS = 256
"""Events that sources may be ahead of who reads the merged ones; then they wait."""

Source = Awaitable[Any] | AsyncIterator[Any]


def merge(**sources: Source) -> AsyncGenerator[Event, None]:
    """Run sources at once, and give what they say as it comes.

    They start with the first event that is asked for. Closing the generator cancels what still
    runs, and waits for it.

    Args:
        sources: By name: coroutines and other awaitables, whose value becomes the `body` of a
            `result`; async iterators, whose items become `chunk` events, and then a `result`
            without a body. A source that raises becomes a `failure`, with the code of an
            `UpstreamError`, `cancelled` where it was cancelled, else `internal`; the others go on.

    Returns:
        `chunk`, `result` and `failure` events as they happen, and `done` last, with the data that
        a run's events have.
    """
    events = _merge(sources)
    # A generator that was never started runs no `finally`, and coroutines warn that nobody came.
    coroutines = [source for source in sources.values() if isinstance(source, Coroutine)]
    weakref.finalize(events, _close_coroutines, coroutines).atexit = False
    return events


async def _merge(sources: Mapping[str, Source]) -> AsyncGenerator[Event, None]:
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
        self._pending = set(sources)
        self._counts = {"ok": 0, "failed": 0, "cancelled": 0}
        # Held while an event waits for room: those that come later must not overtake it.
        self._turn = asyncio.Lock()
        self._started = time.monotonic()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        """Cancel what still runs, wait for it, and close what was never started."""
        self._task.cancel()
        try:
            await asyncio.gather(self._task, return_exceptions=True)
        finally:
            for name, source in self._sources.items():
                await _close(name, source)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for name, source in self._sources.items():
                group.create_task(self._settle(name, source))
        for name in list(self._pending):
            await self._fail(name, Cancelled())  # it has cancelled the task that it ran in
        await self._say("done", {**self._counts, "elapsed": self._elapsed(), "reason": "finished"})
        await self.events.put(None)

    async def _settle(self, name: str, source: Source) -> None:
        try:
            await self._conclude(name, "ok", "result", await self._result(name, source))
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
            await self._fail(name, Cancelled())
        except UpstreamError as error:
            await self._fail(name, error)
        except Exception as exc:
            logger.error("source %s raised", name, exc_info=exc)
            await self._fail(name, InternalError())

    async def _result(self, name: str, source: Source) -> Data:
        if isinstance(source, Awaitable):
            body = await source
            return {**self._facts(name), "content_type": None, "body": body}
        chunks = 0
        async for item in source:
            chunks += 1
            await self._say("chunk", {"upstream": name, "n": chunks, "data": item})
        return {**self._facts(name), "content_type": None, "body": None, "chunks": chunks}

    async def _fail(self, name: str, error: UpstreamError) -> None:
        facts = self._facts(name)
        cause = {"upstream": facts.pop("upstream"), "code": error.code, "message": str(error)}
        kind = "cancelled" if isinstance(error, Cancelled) else "failed"
        await self._conclude(name, kind, "failure", {**cause, **facts})

    def _facts(self, name: str) -> Data:
        elapsed = self._elapsed()
        none = {"status": None, "elapsed": elapsed, "first_byte": None, "attempts": 1}
        return {"upstream": name, **none}

    async def _conclude(self, name: str, kind: str, event_name: str, data: Data) -> None:
        """Say the outcome of a source, with how many there are by now."""
        async with self._turn:
            of = len(self._sources)
            progress = {"done": of - len(self._pending) + 1, "of": of}
            event = self._event(event_name, {**data, **progress})
            self._pending.remove(name)
            self._counts[kind] += 1
            await self.events.put(event)

    async def _say(self, name: str, data: Data) -> None:
        async with self._turn:
            await self.events.put(self._event(name, data))

    def _event(self, name: str, data: Data) -> Event:
        return Event(name, {"at": self._elapsed(), **data})

    def _elapsed(self) -> float:
        return round(time.monotonic() - self._started, 6)


def is_being_cancelled() -> bool:
    """Say whether the running task is meant by a cancellation, rather than what it awaited."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def _close(name: str, source: Source) -> None:
    """Close a source; one that cannot be closed must not keep the others from it."""
    try:
        if aclose := getattr(source, "aclose", None):
            await aclose()
        elif isinstance(source, asyncio.Future):
            source.cancel()
            await asyncio.wait([source])
        elif isinstance(source, Coroutine):
            source.close()
    except Exception as exc:
        logger.error("source %s raised as it was closed", name, exc_info=exc)


def _close_coroutines(coroutines: Iterable[Coroutine[Any, Any, Any]]) -> None:
    for coroutine in coroutines:
        coroutine.close()
