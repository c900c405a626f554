"""A run: one execution of a feed, as a task of the engine that writes its log.

Viewers only read the log. What the leaving of the last one means is the feed's policy
(`on_disconnect`), and is decided here alone; so is how a run ends, whatever ends it: each upstream
has exactly one outcome in the log, and then `done` is the last event.
"""

import asyncio
import contextvars
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from streaming.core.call import Call
from streaming.core.entry import Data
from streaming.core.errors_upstream import (
    Cancelled,
    InternalError,
    TimedOut,
    TooLarge,
    UpstreamError,
)
from streaming.core.feed import Feed
from streaming.engine.log_memory import LogFull, MemoryLog
from streaming.engine.upstream_call import Outgoing, UpstreamCall

logger = logging.getLogger("fanstream")


class Run:
    """One execution of a feed with given parameters.

    Made and used on the engine's loop only.

    Args:
        id: Its unguessable name.
        feed: What is executed.
        params: The parameters, bound.
        caller: Who started it; empty without authentication.
        calls: The requests to the feed's upstreams, by name.
        log: Where its events go.
        outgoing: What carries the calls.
        on_end: Called once, when `done` is in the log.
    """

    def __init__(
        self,
        id: str,
        *,
        feed: Feed,
        params: Mapping[str, Any],
        caller: str,
        calls: Mapping[str, Call],
        log: MemoryLog,
        outgoing: Outgoing,
        on_end: Callable[["Run"], None],
    ) -> None:
        self.id = id
        self.feed = feed
        self.params = params
        self.caller = caller
        self.log = log
        self.viewers = 0
        self._on_end = on_end
        self._reason: str | None = None
        self._started = time.monotonic()
        self._ended = asyncio.Event()
        self._leaving: asyncio.TimerHandle | None = None
        self._counts = {"ok": 0, "failed": 0, "cancelled": 0}
        self._pending = {
            name: UpstreamCall(
                name,
                upstream,
                calls[name],
                outgoing=outgoing,
                emit=self._append,
                deadline=self._started + feed.timeout,
            )
            for name, upstream in feed.upstreams.items()
        }
        self._of = len(self._pending)
        self._append("start", self._start_data())
        # In a context of its own: a run may outlive the request that started it, and other viewers
        # than that request's may watch it. A callback would keep its maker's as well.
        self._context = contextvars.Context()
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._execute(), context=self._context)
        # Not at the end of `_execute`: a task that is cancelled at once never gets there.
        self._task.add_done_callback(self._end, context=self._context)
        self._abandon_after(feed.linger)

    @property
    def is_ended(self) -> bool:
        """Say whether `done` is in the log."""
        return self.log.is_ended

    @property
    def is_stopping(self) -> bool:
        """Say whether the run is being ended, or has ended: nobody new should join it."""
        return self._reason is not None or self.is_ended

    def id_at(self, n: int) -> str:
        """Return the id of one of its events."""
        return f"{self.id}-{n}"

    def stop(self, reason: str) -> None:
        """End the run now: what has not answered is cancelled. Harmless when it has ended.

        Args:
            reason: What `done` will say: `stopped`, `abandoned`, `limit` or `shutdown`.
        """
        if self._reason is None and not self._task.done():
            self._reason = reason
            self._task.cancel()

    async def wait_ended(self) -> None:
        """Wait until `done` is in the log."""
        await self._ended.wait()

    def attach(self) -> None:
        """Count a viewer that comes."""
        self.viewers += 1
        self._stay()

    def expect_viewer(self) -> None:
        """Wait `linger` anew where nobody views the run: someone has just been told of it."""
        if not self.viewers and not self.is_ended:
            self._stay()
            self._abandon_after(self.feed.linger)

    def detach(self) -> None:
        """Count a viewer that leaves; the last one's leaving may end the run."""
        self.viewers -= 1
        if self.viewers > 0 or self.is_ended:
            return
        if self.feed.on_disconnect == "cancel":
            self.stop("abandoned")
        else:
            self._abandon_after(self.feed.linger)

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def _abandon_after(self, seconds: float) -> None:
        """Abandon the run unless a viewer comes in time; a detached run waits for nobody."""
        if self.feed.on_disconnect != "detach":
            loop = asyncio.get_running_loop()
            self._leaving = loop.call_later(seconds, self.stop, "abandoned", context=self._context)

    # ------------------------------------------------------------- its execution

    async def _execute(self) -> None:
        try:
            async with asyncio.timeout(self.feed.timeout), asyncio.TaskGroup() as group:
                for call in list(self._pending.values()):
                    group.create_task(self._settle(call))
        except TimeoutError:
            self._reason = self._reason or "timeout"

    async def _settle(self, call: UpstreamCall) -> None:
        """See one upstream through to its outcome, whatever it is."""
        try:
            self._succeed(call, await call.execute())
        except UpstreamError as error:
            self._fail(call, error)
        except LogFull:
            self._fail(call, TooLarge("log", self.log.max_bytes))
            self.stop("limit")
        except Exception as exc:  # noqa: BLE001 - the task's outer edge
            # Without the message, which may hold what no log line may show.
            where = "".join(traceback.format_tb(exc.__traceback__))
            logger.error("internal error: %s\n%s", type(exc).__name__, where)
            self._fail(call, InternalError())

    def _succeed(self, call: UpstreamCall, data: Data) -> None:
        counts = {"done": self._of - len(self._pending) + 1, "of": self._of}
        self._append("result", {**data, **counts})
        del self._pending[call.name]
        self._counts["ok"] += 1

    def _fail(self, call: UpstreamCall, error: UpstreamError) -> None:
        del self._pending[call.name]
        is_cancelled = isinstance(error, Cancelled)
        self._counts["cancelled" if is_cancelled else "failed"] += 1
        facts = call.facts()
        data = {
            "upstream": facts.pop("upstream"),
            "code": error.code,
            "message": str(error),
            **facts,
            "done": self._of - len(self._pending),
            "of": self._of,
        }
        self._append("failure", data, force=True)
        logger.log(
            logging.INFO if is_cancelled else logging.WARNING,
            "failure feed=%s run=%s upstream=%s code=%s status=%s attempts=%d cause=%s",
            self.feed.name,
            self.id[:8],
            call.name,
            error.code,
            data["status"],
            data["attempts"],
            # Its class alone: what it says may hold what no log line may show.
            type(error.__cause__).__name__ if error.__cause__ else None,
        )

    def _end(self, task: asyncio.Task[None]) -> None:
        """Say the last words, however the task ended."""
        reason = self._reason or ("shutdown" if task.cancelled() else "finished")
        for call in list(self._pending.values()):
            late = TimedOut("end", self.feed.timeout) if reason == "timeout" else Cancelled()
            self._fail(call, late)
        elapsed = round(time.monotonic() - self._started, 6)
        self._append("done", {**self._counts, "elapsed": elapsed, "reason": reason}, force=True)
        self._stay()
        self._ended.set()
        self._on_end(self)
        logger.info(
            "run feed=%s run=%s reason=%s ok=%d failed=%d cancelled=%d elapsed=%.3f",
            self.feed.name,
            self.id[:8],
            reason,
            *self._counts.values(),
            elapsed,
        )

    def _start_data(self) -> Data:
        return {
            "run": self.id,
            "feed": self.feed.name,
            "params": dict(self.params),
            "upstreams": list(self.feed.upstreams),
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }

    def _append(self, name: str, data: Data, *, force: bool = False) -> None:
        at = round(time.monotonic() - self._started, 6)
        self.log.append(name, {"at": at, **data}, force=force)
