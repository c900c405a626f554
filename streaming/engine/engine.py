"""What one process holds: the upstream client, the runs, the open streams, and their orderly end.

An engine belongs to one event loop: Quart's own, or that of the thread which the bridge starts for
Flask. It is made on that loop, and closed on it.
"""

import asyncio
import logging
import os
import random
import time

import httpx

from streaming.core.body import BodyLimits
from streaming.core.errors import Draining
from streaming.core.key_path import under
from streaming.core.settings import Settings, check_served
from streaming.engine.admission import Admission
from streaming.engine.control import follow_control
from streaming.engine.runs import Runs
from streaming.engine.transport import Transport
from streaming.engine.transport_aiohttp import AiohttpTransport
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


def check_settings(settings: Settings, *, client: httpx.AsyncClient | None = None) -> None:
    """Refuse what no engine could serve, before there is one; see `Engine` for the arguments.

    Raises:
        ConfigError: What this version does not do, or an upstream that could never be connected to.
    """
    check_served(settings)
    transport = _make_transport(client)
    for feed in settings.feeds.values():
        for name, upstream in feed.upstreams.items():
            with under("feeds", feed.name, "upstreams", name):
                transport.check(upstream.options)


def _make_transport(client: httpx.AsyncClient | None) -> Transport:
    return HttpxTransport(client) if client else AiohttpTransport()


class Engine:
    """All that a process does for its feeds.

    Args:
        settings: The configuration.
        client: A client of the user's own for the upstream calls, with its own auth, proxies and
            transport; None for fanstream's own. It is not closed here.
        control: The Unix socket of a parent that says when to drain; None where there is none.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        client: httpx.AsyncClient | None = None,
        control: str | None = None,
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
        outgoing = Outgoing(
            transport=self._transport,
            slots=asyncio.Semaphore(server.max_connections),
            random=random.random,
        )
        self.runs = Runs(
            outgoing=outgoing,
            max_runs=server.max_runs,
            log=settings.log,
            random_bytes=os.urandom,
        )
        self.is_draining = False
        self._drained = asyncio.Event()
        self._viewers: set[Viewer] = set()
        self._own_viewers: set[Viewer] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.own(self.loop.create_task(self._sweep()))
        if control is not None:
            self.own(self.loop.create_task(follow_control(control, drain=self.drain)))

    def add(self, viewer: Viewer, *, is_own: bool = False) -> None:
        """Count an open stream among those that are swept and drained, until it is closed.

        Args:
            viewer: The stream.
            is_own: Whether it has no run that could finish: it is told first that this ends.
        """
        self._viewers.add(viewer)
        if is_own:
            self._own_viewers.add(viewer)
        self._idle.clear()
        viewer.on_close(lambda: self._remove(viewer))

    def _remove(self, viewer: Viewer) -> None:
        self._viewers.discard(viewer)
        self._own_viewers.discard(viewer)
        if not self._viewers:
            self._idle.set()

    def own(self, task: asyncio.Task[None]) -> None:
        """Take over a task: it is cancelled and awaited when the engine closes."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def expiry(self) -> float:
        """Return when a stream that opens now has to end, by `time.monotonic`.

        With jitter, so that streams which opened together do not come back together.
        """
        age = self.settings.server.max_stream_age * random.uniform(0.8, 1.0)  # noqa: S311 - jitter
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
        for viewer in list(self._own_viewers):
            viewer.shut_down("drain")
        try:
            async with asyncio.timeout(self.settings.server.drain_timeout - END_MARGIN):
                await self.runs.wait_idle()
        except TimeoutError:
            logger.info("drain: ending the runs that are live")
        end = self.loop.time() + END_MARGIN
        await self._end_runs(within=END_MARGIN / 2)
        for viewer in list(self._viewers):
            viewer.shut_down("drain")
        try:
            async with asyncio.timeout_at(end):
                await self._idle.wait()
        except TimeoutError:
            logger.warning("drain: %d streams did not end in time", len(self._viewers))

    async def _end_runs(self, *, within: float) -> None:
        """End all runs; a client of the user's may hold on to a call that is cancelled."""
        try:
            async with asyncio.timeout(within):
                await self.runs.end_all("shutdown")
        except TimeoutError:
            logger.warning("some runs did not end in time")

    async def aclose(self) -> None:
        """End everything now, and close what is held."""
        self.is_draining = True
        self._drained.set()
        await self._end_runs(within=END_MARGIN)
        self.runs.forget_all()
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
                    viewer.abort()
