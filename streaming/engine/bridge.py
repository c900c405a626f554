"""The bridge to threads: an engine on a loop of its own, for applications that have none.

The only place that knows both worlds. One thread runs the loop; it is started by the first request,
so after any fork, and never at import. A worker's thread asks the engine for a reply and then steps
the viewer's body itself, waiting on a lock that the engine releases: cheaper by half than asking a
coroutine for each piece.
"""

import asyncio
import atexit
import contextvars
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from time import monotonic
from typing import ParamSpec, TypeVar

from streaming.core.message import Reply, Request
from streaming.engine.engine import Engine
from streaming.engine.interface import Interface
from streaming.engine.loop import make_loop
from streaming.engine.own_stream import answer_own
from streaming.engine.socket_watch import SocketWatch
from streaming.engine.streams import StreamReply
from streaming.engine.viewer import Viewer, close_when_dropped

P = ParamSpec("P")
T = TypeVar("T")

CLOSE_TIMEOUT = 5.0
"""Seconds that closing waits for the engine to end; its thread is a daemon and stops nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """An engine that runs in a thread of this process."""

    loop: asyncio.AbstractEventLoop
    engine: Engine
    interface: Interface
    stopping: asyncio.Event


class Bridge:
    """An engine in a thread, asked from other threads.

    Args:
        make_engine: Makes the engine; called on the loop, once in each process.
    """

    def __init__(self, make_engine: Callable[[], Engine]) -> None:
        self._make_engine = make_engine
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def answer(self, operation: str, request: Request, *, fd: int | None) -> Reply:
        """Answer a request, from a thread that may wait.

        Args:
            operation: The name of the operation, out of `streaming.core.routes`.
            request: The request.
            fd: The descriptor of the client's socket, to be watched while the answer streams; None
                where there is none.
        """
        return self.call(self._answer, operation, request, fd)

    def open_own(self, request: Request, *, fd: int | None) -> Reply:
        """Open a stream of one's own, from a thread that may wait; see `answer`."""
        return self.call(self._open_own, request, fd)

    def call(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a coroutine function on the engine's loop and wait for what it returns.

        In an empty context: the engine must not hold, or see, the request of one caller.
        """

        async def run() -> T:
            return await function(*args, **kwargs)

        loop = self._ensure_running().loop
        future = contextvars.Context().run(asyncio.run_coroutine_threadsafe, run(), loop)
        return future.result()

    def close(self) -> None:
        """End the engine and its thread; harmless where none was started."""
        running, thread = self._running, self._thread
        self._forget()
        atexit.unregister(self.close)
        if running is not None and thread is not None:
            running.loop.call_soon_threadsafe(running.stopping.set)
            thread.join(CLOSE_TIMEOUT)

    def _forget(self) -> None:
        """Start afresh: nothing of a parent's thread lives on in a forked child."""
        self._starting = threading.Lock()
        self._running: _Running | None = None
        self._thread: threading.Thread | None = None

    def _ensure_running(self) -> _Running:
        if self._running is None:
            with self._starting:
                if self._running is None:
                    self._running = self._start()
        return self._running

    def _start(self) -> _Running:
        started: Future[_Running] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(started,), name="fanstream-engine", daemon=True
        )
        self._thread.start()
        atexit.register(self.close)
        return started.result()

    def _run(self, started: "Future[_Running]") -> None:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(self._serve(started))

    async def _serve(self, started: "Future[_Running]") -> None:
        try:
            engine = self._make_engine()
            running = _Running(
                loop=asyncio.get_running_loop(),
                engine=engine,
                interface=Interface(engine),
                stopping=asyncio.Event(),
            )
        except Exception as exc:  # noqa: BLE001 - the thread's outer edge; who asked is told
            started.set_exception(exc)
            return
        started.set_result(running)
        try:
            await running.stopping.wait()
        finally:
            await engine.aclose()

    async def _open_own(self, request: Request, fd: int | None) -> Reply:
        reply = await answer_own(self._ensure_running().engine, request)
        return _watched(reply, fd)

    async def _answer(self, operation: str, request: Request, fd: int | None) -> Reply:
        reply = await self._ensure_running().interface.answer(operation, request)
        return _watched(reply, fd)


def _watched(reply: Reply, fd: int | None) -> Reply:
    """Watch the client of a stream by its socket, where there is one."""
    if isinstance(reply, StreamReply) and fd is not None:
        watch = SocketWatch(fd, viewer=reply.viewer)
        reply.viewer.on_close(watch.close)
    return reply


def drive_in_thread(viewer: Viewer) -> Iterator[bytes]:
    """Step a viewer's body in the running thread, and close it at the end, however that comes.

    A generator that nobody ever starts closes the viewer when it is dropped.
    """
    pieces = _drive(viewer)
    close_when_dropped(pieces, viewer)
    return pieces


def _drive(viewer: Viewer) -> Iterator[bytes]:
    # Held while there is nothing to do; a wake that comes before the wait lets it pass.
    idle = threading.Lock()
    idle.acquire()

    def wake() -> None:
        if idle.locked():
            idle.release()

    viewer.set_wake(wake)
    try:
        while (step := viewer.step(monotonic())) is not None:
            if isinstance(step, bytes):
                viewer.writing_since = monotonic()
                yield step
                viewer.writing_since = None
            else:
                idle.acquire(timeout=min(max(0.0, step - monotonic()), threading.TIMEOUT_MAX))
    finally:
        viewer.close()
