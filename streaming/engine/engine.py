"""What one process holds: the upstream client, the runs, the open streams, and their orderly end.

An engine belongs to one event loop: Quart's own, or that of the thread which the bridge starts for
Flask. It is made on that loop, and closed on it.
"""

import asyncio
import logging
import os
import random
import time
import weakref
from collections.abc import Callable
from importlib.util import find_spec

import httpx

from streaming.core.body import BodyLimits
from streaming.core.errors import ConfigError
from streaming.core.errors_request import Draining
from streaming.core.key_path import under
from streaming.core.settings import MEMORY_URL, Settings
from streaming.engine.admission import Admission
from streaming.engine.alarms import Alarms
from streaming.engine.control import Ending, follow_control, follow_ending
from streaming.engine.runs import Runs
from streaming.engine.runs_memory import MemoryRuns
from streaming.engine.tokens import Tokens, check_auth
from streaming.engine.transport import Transport
from streaming.engine.transport_httptools import HttptoolsTransport
from streaming.engine.transport_httpx import HttpxTransport
from streaming.engine.upstream_call import Outgoing
from streaming.engine.viewer import Viewer, do_nothing

logger = logging.getLogger("fanstream")

SWEEP_INTERVAL = 1.0
"""Seconds between two looks at the viewers whose clients take nothing any more."""

RETRY_AFTER_DRAIN = 1
"""Seconds that a client is told to wait where this process is ending; another may take it."""

END_MARGIN = 2.0
"""Seconds of `drain_timeout` that are kept for saying the last words, after runs had their time."""

IDLE_INTERVAL = 0.02
"""Seconds between two looks at whether all streams have ended, at a drain."""


def check_settings(settings: Settings, *, client: httpx.AsyncClient | None = None) -> None:
    """Refuse what no engine could serve, before there is one; see `Engine` for the arguments.

    Raises:
        ConfigError: What this version does not do, or an upstream that could never be connected to.
    """
    if settings.log.url != MEMORY_URL and find_spec("redis") is None:
        reason = "needs the package redis, which is not installed: pip install 'fanstream[redis]'"
        raise ConfigError("log.url", reason)
    if settings.auth is not None:
        check_auth(settings.auth)
    transport = _make_transport(client)
    for feed in settings.feeds.values():
        for name, upstream in feed.upstreams.items():
            with under("feeds", feed.name, "upstreams", name):
                transport.check(upstream.options)


def _make_transport(client: httpx.AsyncClient | None) -> Transport:
    return HttpxTransport(client) if client else HttptoolsTransport()


class Engine:
    """All that a process does for its feeds.

    Args:
        settings: The configuration.
        client: A client of the user's own for the upstream calls, with its own auth, proxies and
            transport; None for fanstream's own. It is not closed here.
        control: The Unix socket of a parent that says when to drain; None where there is none.
        ending: What tells of the end of this process, which is to be drained for; None where
            nothing does, or a parent says it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        client: httpx.AsyncClient | None = None,
        control: str | None = None,
        ending: Ending | None = None,
    ) -> None:
        server = settings.server
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        self.limits = BodyLimits(
            retry_ms=server.retry_ms,
            ping_interval=server.ping_interval,
            max_lag_events=server.max_lag_events,
            max_lag_bytes=server.max_lag_bytes,
        )
        self.admission = Admission(
            max_streams=server.max_streams,
            max_streams_per_address=server.max_streams_per_address,
        )
        self._transport = _make_transport(client)
        self.alarms = Alarms()
        outgoing = Outgoing(
            transport=self._transport,
            slots=asyncio.Semaphore(server.max_connections),
            random=random.random,
            alarms=self.alarms,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self.runs = self._make_runs(outgoing)
        self.tokens = Tokens(settings.auth, own=self.own) if settings.auth else None
        self.is_draining = False
        self._ending = ending
        self._drained = asyncio.Event()
        self._hurried = asyncio.Event()
        self._viewers: set[Viewer] = set()
        self._own_viewers: set[Viewer] = set()
        self._responses: set[object] = set()
        self.own(self.loop.create_task(self._sweep()))
        if control is not None:
            self.own(self.loop.create_task(follow_control(control, drain=self.drain)))
        if ending is not None:
            following = follow_ending(ending, drain=self.drain, hurry=self._hurried.set)
            self.own(self.loop.create_task(following))

    def _make_runs(self, outgoing: Outgoing) -> Runs:
        settings = self.settings
        if settings.log.url != MEMORY_URL:
            from streaming.engine.runs_redis import RedisRuns

            return RedisRuns(settings, outgoing=outgoing, random_bytes=os.urandom)
        return MemoryRuns(
            outgoing=outgoing,
            max_runs=settings.server.max_runs,
            log=settings.log,
            random_bytes=os.urandom,
        )

    def add(self, viewer: Viewer, *, is_own: bool = False) -> None:
        """Count an open stream among those that are swept and drained, until it is closed.

        Args:
            viewer: The stream.
            is_own: Whether it has no run that could finish: it is told first that this ends.
        """
        self._viewers.add(viewer)
        if is_own:
            self._own_viewers.add(viewer)
        viewer.on_close(lambda: self._remove(viewer))

    def _remove(self, viewer: Viewer) -> None:
        self._viewers.discard(viewer)
        self._own_viewers.discard(viewer)

    def expect_close(self, response: object) -> Callable[[], object]:
        """Count a response whose closing goes on after its viewer's, until it is closed or dropped.

        Args:
            response: What a framework closes, and runs teardown functions at.

        Returns:
            What has to be called when that is done. From any thread, as this.
        """
        token = object()
        self._responses.add(token)
        finalizer = weakref.finalize(response, self._responses.discard, token)
        finalizer.atexit = False
        return finalizer

    def own(self, task: asyncio.Task[None]) -> None:
        """Take over a task: it is cancelled and awaited when the engine closes."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def expiry(self, *, until: float | None = None) -> float:
        """Return when a stream that opens now has to end, by `time.monotonic`.

        With jitter, so that streams which opened together do not come back together.

        Args:
            until: When the right to it ends, in seconds of Unix time; None for never.
        """
        age = self.settings.server.max_stream_age * random.uniform(0.8, 1.0)  # noqa: S311 - jitter
        if until is not None:
            age = min(age, until - time.time())
        return time.monotonic() + age

    def check_not_draining(self) -> None:
        """Refuse what would start something new while this process is ending.

        Raises:
            Draining: It is.
        """
        if self.is_draining:
            raise Draining(retry_after=RETRY_AFTER_DRAIN)

    async def drain(self) -> None:
        """End in order: nothing new, live runs may finish, then all say their last words.

        Takes `drain_timeout`, or `END_MARGIN` where that is more, at most. A second call waits for
        the first.
        """
        if not self.is_draining:
            self.is_draining = True
            try:
                await self._drain()
            finally:
                self._drained.set()
        await self._drained.wait()

    async def _drain(self) -> None:
        self.runs.begin_drain()
        for viewer in list(self._own_viewers):
            viewer.shut_down("drain")
        # A little less than there is: whoever ends the server has to do it in time as well.
        latest = self.loop.time() + self.settings.server.drain_timeout - END_MARGIN / 8
        if not await self._runs_finish(within=self.settings.server.drain_timeout - END_MARGIN):
            logger.info("drain: ending the runs that are live")
        end = self.loop.time() + END_MARGIN
        await self._end_runs(within=END_MARGIN / 2)
        for viewer in list(self._viewers):
            viewer.shut_down("drain")
        if not await self._wait_streams(end - END_MARGIN / 4):
            count = max(len(self._viewers), self.admission.open, len(self._responses))
            logger.warning("drain: %d streams did not end in time", count)
            # Cut off while there is time left for what is to be done at their ends.
            for viewer in list(self._viewers):
                _break_off(viewer)
            await self._wait_streams(max(end - END_MARGIN / 8, min(end + END_MARGIN, latest)))

    async def _runs_finish(self, *, within: float) -> bool:
        """Wait until no run is live; say whether that came in time, and before any hurry."""
        ends = (self.runs.wait_idle(), self._hurried.wait())
        tasks = [asyncio.ensure_future(end) for end in ends]
        try:
            await asyncio.wait(tasks, timeout=max(0.0, within), return_when=asyncio.FIRST_COMPLETED)
            return tasks[0].done()
        finally:
            for task in tasks:
                task.cancel()

    async def _wait_streams(self, end: float) -> bool:
        """Wait until all streams have ended, what views and frameworks do at their end included.

        Args:
            end: When it is given up, by the loop's time; False is returned then.
        """
        while self._viewers or self.admission.open or self._responses:
            if self.loop.time() >= end:
                return False
            await asyncio.sleep(IDLE_INTERVAL)
        return True

    async def _end_runs(self, *, within: float) -> None:
        """End all runs; a client of the user's may hold on to a call that is cancelled."""
        try:
            async with asyncio.timeout(within):
                await self.runs.end_all()
        except TimeoutError:
            logger.warning("some runs did not end in time")

    async def aclose(self) -> None:
        """End everything, after a drain that is due or goes on, and close what is held."""
        if self._ending is not None and self._ending.has_begun():
            await self.drain()
        elif self.is_draining:
            await self._drained.wait()
        self.is_draining = True
        self._drained.set()
        await self._end_runs(within=END_MARGIN)
        await self.runs.aclose()
        for viewer in list(self._viewers):
            viewer.shut_down("drain")
            # What its driver would have closed later it cannot once the loop has ended.
            viewer.close_on_loop()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            # A view's generator may refuse to end; nothing waits for it beyond this.
            await asyncio.wait(self._tasks, timeout=END_MARGIN)
        await self._transport.aclose()

    async def _sweep(self) -> None:
        """Break off the streams whose clients have not taken a write for `send_timeout`."""
        send_timeout = self.settings.server.send_timeout
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            stuck_since = time.monotonic() - send_timeout
            for viewer in list(self._viewers):
                # Read once: a driver in a thread may set it to None at any moment.
                writing_since = viewer.writing_since
                is_stuck = writing_since is not None and writing_since < stuck_since
                if is_stuck and viewer.abort is not do_nothing:
                    logger.info("stream closed: nothing was taken for %g s", send_timeout)
                    viewer.writing_since = None  # said, and done, once
                    _break_off(viewer)


def _break_off(viewer: Viewer) -> None:
    """Break a stream off; by whatever means its server has, which must end nobody else's."""
    try:
        viewer.abort()
    except Exception:
        logger.exception("a stream could not be broken off")
