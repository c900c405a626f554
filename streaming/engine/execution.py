"""The execution of a run: a task of the engine that calls the upstreams and writes the log.

However a run ends, each upstream has exactly one outcome in the log, and then `done` is the last
event. What the leaving of the last viewer means is the feed's policy (`on_disconnect`), and is
decided here alone.
"""

import asyncio
import contextvars
import logging
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from streaming.core import codec
from streaming.core.call import Call
from streaming.core.entry import Data
from streaming.core.errors_upstream import (
    Cancelled,
    Disconnected,
    InternalError,
    TimedOut,
    TooLarge,
    UpstreamError,
)
from streaming.core.feed import Feed
from streaming.core.progress import NEW, Progress
from streaming.engine.log_memory import LogFull
from streaming.engine.log_writer import LogWriter
from streaming.engine.upstream_call import Outgoing, UpstreamCall

logger = logging.getLogger("fanstream")


def start_data(run: str, feed: Feed, params: Mapping[str, Any], *, at: float = 0.0) -> Data:
    """Return the data of a run's `start`."""
    return {
        "at": at,
        "run": run,
        "feed": feed.name,
        "params": dict(params),
        "upstreams": list(feed.upstreams),
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


class Execution:
    """What calls the upstreams of one run. Its log holds `start`.

    Args:
        run: The run's id.
        feed: What is executed.
        calls: The requests to the feed's upstreams, by name.
        log: Where its events go.
        outgoing: What carries the calls.
        progress: How far another process had come with it: what it had begun and must not be
            repeated fails with `disconnected`.
        on_stopping: Called once where it is being ended before all have answered: nobody new should
            join it.
    """

    def __init__(
        self,
        run: str,
        *,
        feed: Feed,
        calls: Mapping[str, Call],
        log: LogWriter,
        outgoing: Outgoing,
        progress: Progress = NEW,
        on_stopping: Callable[[], None] = lambda: None,
    ) -> None:
        self._run = run
        self._feed = feed
        self._log = log
        self._watchers = 0
        self._on_stopping = on_stopping
        self._reason: str | None = None
        self._is_halted = False
        self._has_ended = False
        self._started = time.monotonic() - progress.elapsed
        self._leaving: asyncio.TimerHandle | None = None
        self._counts = dict(progress.counts)
        self._pending = {
            name: UpstreamCall(
                name,
                upstream,
                calls[name],
                outgoing=outgoing,
                emit=self._append,
                emit_chunks=self._append_chunks,
                give_way=log.give_way,
                deadline=self._started + feed.timeout,
            )
            for name, upstream in feed.upstreams.items()
            if name not in progress.settled
        }
        self._of = len(feed.upstreams)
        self._cut = () if progress is NEW else tuple(filter(self._is_cut(progress), self._pending))
        # In a context of its own: a run may outlive the request that started it, and other viewers
        # than that request's may watch it. A callback would keep its maker's as well.
        self._context = contextvars.Context()
        loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None
        self._task = loop.create_task(self._execute(), context=self._context)
        # Not at the end of `_execute`: a task that is cancelled at once never gets there.
        self._task.add_done_callback(self._end, context=self._context)
        self._abandon_after(feed.linger)

    @property
    def is_stopping(self) -> bool:
        """See `streaming.engine.run.Executing`, as for the next four."""
        return self._reason is not None or self._has_ended

    def stop(self, reason: str) -> None:
        """End the run now: what has not answered is cancelled. Harmless when it has ended."""
        if self._reason is None and self._task is not None and not self._task.done():
            self._reason = reason
            self._task.cancel()
            self._on_stopping()

    def attach(self) -> None:
        """Count a viewer, or a process that has some."""
        self._watchers += 1
        self._stay()

    def expect_viewer(self) -> None:
        """Wait `linger` anew where nobody views the run."""
        if not self._watchers and not self._has_ended:
            self._stay()
            self._abandon_after(self._feed.linger)

    def detach(self) -> None:
        """Count a viewer that leaves, or a process that has none any more."""
        self._watchers -= 1
        if self._watchers > 0 or self._has_ended:
            return
        if self._feed.on_disconnect == "cancel":
            self.stop("abandoned")
        else:
            self._abandon_after(self._feed.linger)

    def halt(self) -> None:
        """Call no upstream any more, and say nothing: another process goes on with the run."""
        self._is_halted = True
        if self._task is not None:
            self._task.cancel()

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def _abandon_after(self, seconds: float) -> None:
        """Abandon the run unless a viewer comes in time; a detached run waits for nobody."""
        if self._feed.on_disconnect != "detach":
            loop = asyncio.get_running_loop()
            self._leaving = loop.call_later(seconds, self.stop, "abandoned", context=self._context)

    def _is_cut(self, progress: Progress) -> Callable[[str], bool]:
        """Say of an upstream whether it was begun elsewhere and must not be had twice."""
        upstreams = self._feed.upstreams
        return lambda name: name in progress.begun or not upstreams[name].is_repeatable

    # ------------------------------------------------------------- its execution

    async def _execute(self) -> None:
        for name in self._cut:
            self._fail(self._pending[name], Disconnected())
        try:
            left = self._started + self._feed.timeout - time.monotonic()
            async with asyncio.timeout(left), asyncio.TaskGroup() as group:
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
            self._fail(call, TooLarge("log", self._log.max_bytes))
            self.stop("limit")
        except Exception as exc:  # noqa: BLE001 - the task's outer edge
            # Without the message, which may hold what no log line may show.
            where = "".join(traceback.format_tb(exc.__traceback__))
            logger.error("internal error: %s\n%s", type(exc).__name__, where)
            self._fail(call, InternalError())

    def _succeed(self, call: UpstreamCall, data: Data) -> None:
        data["done"] = self._of - len(self._pending) + 1
        data["of"] = self._of
        self._append("result", data)
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
            self._feed.name,
            self._run[:8],
            call.name,
            error.code,
            data["status"],
            data["attempts"],
            # Its class alone: what it says may hold what no log line may show.
            type(error.__cause__).__name__ if error.__cause__ else None,
        )

    def _end(self, task: asyncio.Task[None]) -> None:
        """Say the last words, however the task ended."""
        self._has_ended = True
        self._task = None
        self._stay()
        if self._is_halted:
            return
        reason = self._reason or ("shutdown" if task.cancelled() else "finished")
        for call in list(self._pending.values()):
            late = TimedOut("end", self._feed.timeout) if reason == "timeout" else Cancelled()
            self._fail(call, late)
        elapsed = self._at()
        self._append("done", {**self._counts, "elapsed": elapsed, "reason": reason}, force=True)
        logger.info(
            "run feed=%s run=%s reason=%s ok=%d failed=%d cancelled=%d elapsed=%.3f",
            self._feed.name,
            self._run[:8],
            reason,
            *self._counts.values(),
            elapsed,
        )

    def _append(self, name: str, data: Data, *, force: bool = False) -> None:
        self._log.append(name, {"at": self._at(), **data}, force=force)

    def _append_chunks(self, upstream: str, first: int, values: Sequence[Any]) -> None:
        # What is the same in all is encoded once: there may be thousands.
        head = codec.encode_again({"at": self._at(), "upstream": upstream})[:-1]
        encode = codec.encode_again
        self._log.extend(
            "chunk",
            [
                b'%b,"n":%d,"data":%b}' % (head, n, encode(value))
                for n, value in enumerate(values, first)
            ],
        )

    def _at(self) -> float:
        return round(time.monotonic() - self._started, 6)
