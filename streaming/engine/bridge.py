"""The bridge to threads: an engine on a loop of its own, for applications that have none.

The only place that knows both worlds. One thread runs the loop; it is started by the first request,
so after any fork, and never at import. A worker's thread asks the engine for a reply and then steps
the viewer's body itself, waiting on a lock that the engine releases: cheaper by half than asking a
coroutine for each piece.
"""

import asyncio
import atexit
import contextvars
import functools
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from streaming.core.message import Reply, Request
from streaming.engine.client_watch import Watch
from streaming.engine.engine import Engine
from streaming.engine.interface import Interface
from streaming.engine.listeners import bound_listeners
from streaming.engine.loop import make_loop
from streaming.engine.own_stream import answer_own
from streaming.engine.streams import StreamReply
from streaming.engine.threads import Gate, make_gate, start_thread
from streaming.engine.viewer import Viewer, close_when_dropped, do_nothing

T = TypeVar("T")


CLOSE_TIMEOUT = 5.0
"""Seconds that closing waits for the engine to end, beside a drain that is due or goes on; its
thread is a daemon and stops nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """An engine that runs in a thread of this process."""

    loop: asyncio.AbstractEventLoop
    interface: Interface
    stopping: asyncio.Event
    ended: Gate


@dataclass(slots=True, kw_only=True)
class _Start:
    """What the starting thread hands back: an engine that runs, or why there is none."""

    gate: Gate
    ended: Gate
    outcome: _Running | Exception | None = None


class Bridge:
    """An engine in a thread, asked from other threads.

    Args:
        make_engine: Makes the engine; called on the loop, once in each process.
    """

    def __init__(self, make_engine: Callable[[], Engine]) -> None:
        self._make_engine = make_engine
        self._running: _Running | None
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def answer(self, operation: str, request: Request, *, watch: Watch | None) -> Reply:
        """Answer a request, from a thread that may wait.

        Args:
            operation: The name of the operation, out of `streaming.core.routes`.
            request: The request.
            watch: Made for the viewer of an answer that streams, and closed with it: it notices
                that the client has gone. None where nothing but a failing write can tell.

        Raises:
            ConfigError: The engine cannot start.
        """
        return self.call(_answer, operation, request, watch)

    def refuse_unread(self, request: Request) -> Reply | None:
        """Refuse a request before its body is read; see `Interface.refuse_unread`."""
        return self.call(Interface.refuse_unread, request)

    def open_own(self, request: Request, *, watch: Watch | None) -> Reply:
        """Open a stream of one's own, from a thread that may wait; see `answer`."""
        return self.call(_open_own, request, watch)

    def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run a coroutine function on the engine's loop and wait for what it returns.

        In an empty context: the engine must not hold, or see, the request of one caller.

        Args:
            function: Called with the engine's interface, and then the arguments.
            args: The arguments.
        """
        gate = make_gate()
        tasks: list[asyncio.Task[T]] = []

        def start(running: _Running) -> None:
            task = running.loop.create_task(function(running.interface, *args))
            task.add_done_callback(lambda _: gate.open())
            tasks.append(task)

        with self._lock:
            running = self._running or self._start()
            self._running = running
            running.loop.call_soon_threadsafe(start, running, context=contextvars.Context())
        try:
            gate.wait()
        finally:
            gate.close()
        return tasks[0].result()

    def close(self) -> None:
        """End the engine and its thread; harmless where none was started."""
        with self._lock:
            running, self._running = self._running, None
            if running is not None:
                running.loop.call_soon_threadsafe(running.stopping.set)
        atexit.unregister(self.close)
        if running is not None:
            drain_timeout = running.interface.engine.settings.server.drain_timeout
            running.ended.wait(drain_timeout + CLOSE_TIMEOUT)

    def _forget(self) -> None:
        """Start afresh: nothing of a parent's thread lives on in a forked child."""
        # Held while an engine starts, and to hand it a call: none comes after the word to stop,
        # when nobody might run it any more.
        self._lock = threading.Lock()
        self._running = None

    def _start(self) -> _Running:
        start = _Start(gate=make_gate(), ended=make_gate())
        start_thread(functools.partial(self._run, start), name="fanstream-engine")
        start.gate.wait()
        start.gate.close()
        atexit.register(self.close)
        if isinstance(start.outcome, _Running):
            return start.outcome
        raise start.outcome or RuntimeError("the engine's thread ended before it had begun")

    def _run(self, start: "_Start") -> None:
        try:
            with asyncio.Runner(loop_factory=make_loop) as runner:
                runner.run(self._serve(start))
        except Exception as exc:  # the thread's outer edge; who asked is told
            if start.outcome is not None:
                raise
            start.outcome = exc
        finally:
            start.gate.open()
            start.ended.open()

    async def _serve(self, start: "_Start") -> None:
        engine = self._make_engine()
        start.outcome = running = _Running(
            loop=asyncio.get_running_loop(),
            interface=Interface(engine),
            stopping=asyncio.Event(),
            ended=start.ended,
        )
        start.gate.open()
        try:
            await running.stopping.wait()
        finally:
            await engine.aclose()


async def _open_own(interface: Interface, request: Request, watch: Watch | None) -> Reply:
    return _watched(await answer_own(interface.engine, request), watch)


async def _answer(
    interface: Interface, operation: str, request: Request, watch: Watch | None
) -> Reply:
    return _watched(await interface.answer(operation, request), watch)


def _watched(reply: Reply, watch: Watch | None) -> Reply:
    if isinstance(reply, StreamReply):
        reply.watch_client(watch)
        if watch is None:
            send_timeout = reply.engine.settings.server.send_timeout
            bound_listeners(os.getpid(), seconds=send_timeout)
    return reply


def drive_in_thread(viewer: Viewer) -> Iterator[bytes]:
    """Step a viewer's body in the running thread, and close it at the end, however that comes.

    A generator that nobody ever starts closes the viewer when it is dropped.
    """
    pieces = _drive(viewer)
    close_when_dropped(pieces, viewer)
    return pieces


def _drive(viewer: Viewer) -> Iterator[bytes]:
    gate = make_gate()
    viewer.set_wake(gate.open)
    try:
        while (step := viewer.step(monotonic())) is not None:
            if isinstance(step, bytes):
                viewer.writing_since = monotonic()
                yield step
                viewer.writing_since = None
            else:
                gate.wait(max(0.0, step - monotonic()))
    finally:
        viewer.set_wake(do_nothing)
        viewer.close()
        gate.close()
