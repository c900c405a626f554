"""A stream of one's own: the generator of a view, bound to its one viewer (DESIGN).

Its events go through a small bounded log, so that the body beats while the generator is silent, and
the generator waits while its client is slow. It is not resumable unless it yields ids of its own.
An exception becomes `failure` (`internal`) and `done` (`failed`); the end of the generator becomes
`done` (`finished`), with an id that is answered 204 when a browser comes back with it.
"""

import asyncio
import contextvars
import inspect
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import Any

from streaming.core.body import StreamBody
from streaming.core.errors_request import NotAcceptable, RequestError
from streaming.core.event import is_id
from streaming.core.message import Reply, Request, problem_reply
from streaming.core.negotiation import choose_format
from streaming.core.wire import WIRES
from streaming.engine.engine import Engine
from streaming.engine.log_stream import LogClosed, StreamLog
from streaming.engine.own_items import Left, aclose_unbegun, close_unbegun, tell, write, write_all
from streaming.engine.own_story import DONE_ID
from streaming.engine.streams import (
    StreamReply,
    admit,
    asks_for_ping_events,
    check_reserved,
    make_limits,
    stream_headers,
)
from streaming.engine.threads import start_thread
from streaming.engine.viewer import Viewer, close_when_dropped, do_nothing

View = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnStreamReply(StreamReply):
    """A stream that is open and waits for the generator that fills it.

    `call` makes the generator, then `run` or `drive` takes it; once each, from the request's thread
    or task, whose context variables the generator runs with.
    """

    log: StreamLog
    slot: "_Slot"

    def call(self, view: View, request: Request, path: Mapping[str, Any]) -> Any:
        """Call the view's function; one that takes `last_event_id` is handed the client's, or None.

        Where it raises, the stream is closed: nothing else holds it yet.
        """
        given = dict(path)
        if "last_event_id" in inspect.signature(view).parameters:
            given["last_event_id"] = request.last_event_id
        self.viewer.await_body()
        try:
            return view(**given)
        except BaseException:
            self.viewer.close()
            raise
        finally:
            self.viewer.expect_begin()

    def takes(self, items: Any) -> bool:
        """Say whether a view has given items to stream.

        Any other answer is its own, such as a refusal with a status; the stream is closed then.
        """
        if isinstance(items, AsyncIterator | Iterator):
            return True
        self.viewer.close()
        return False

    def run(self, items: AsyncIterator[Any] | Iterator[Any]) -> None:
        """Run an async generator in a task of the engine, or a plain one in a thread of its own."""
        context = contextvars.copy_context()
        if isinstance(items, AsyncIterator):
            self.engine.loop.call_soon_threadsafe(self._start_task, items, context)
            return
        try:
            self._start_thread(context, write_all, items, self.log)
        except RuntimeError:  # there are too many
            self.viewer.close()
            close_unbegun(items)
            raise

    def drive(self, items: Iterator[Any]) -> Iterator[bytes]:
        """Run a plain generator in this very thread, between the steps of the body.

        While the generator is silent there is no beat, and its client's leaving is not noticed.
        """
        left = Left(items)
        pieces = self._drive(left)
        close_when_dropped(pieces, self.viewer)
        close_left = partial(self._close_left, left, contextvars.copy_context())
        # A loop that has been closed closes no viewer any more.
        with suppress(RuntimeError):
            self.engine.loop.call_soon_threadsafe(self.viewer.on_close, close_left)
        return pieces

    def _drive(self, left: Left[Iterator[Any]]) -> Iterator[bytes]:
        story = tell(left)
        try:
            # The preamble does not wait for the first item.
            is_over = yield from self._pieces()
            while not is_over and (event := next(story, None)) is not None:
                self.log.append_nowait(event)
                is_over = yield from self._pieces()
            self.log.end()
            yield from self._pieces()
        except LogClosed:
            yield from self._pieces()
        finally:
            # First the view's own end, which a drain waits for as long as there is the viewer.
            try:
                story.close()
                left.close()
            finally:
                self.viewer.close()

    def _pieces(self) -> Generator[bytes, None, bool]:
        """Give what the body has to write now; return whether it has ended."""
        while isinstance(step := self.viewer.step(monotonic()), bytes):
            self.viewer.writing_since = monotonic()
            yield step
            self.viewer.writing_since = None
        return step is None

    def _start_task(self, items: AsyncIterator[Any], context: contextvars.Context) -> None:
        left = Left(items)
        task = self.engine.loop.create_task(write(left, self.log), context=context)
        self.engine.own(task)
        task.add_done_callback(partial(self._end_task, left, context, self.slot.hold()))
        self.viewer.on_close(task.cancel)

    def _end_task(
        self,
        left: Left[AsyncIterator[Any]],
        context: contextvars.Context,
        let_go: Callable[[], None],
        task: asyncio.Task[None],
    ) -> None:
        items = left.take()
        if items is None:
            let_go()
            return
        # It was cancelled before its first step, and so has closed nothing.
        closing = self.engine.loop.create_task(aclose_unbegun(items), context=context)
        self.engine.own(closing)
        closing.add_done_callback(lambda _: let_go())

    def _close_left(self, left: Left[Iterator[Any]], context: contextvars.Context) -> None:
        """Close items that nobody has begun, in a thread of their own: it may take its time."""
        if (items := left.take()) is None:
            return
        try:
            self._start_thread(context, close_unbegun, items)
        except RuntimeError:  # there are too many
            close_unbegun(items)

    def _start_thread(
        self, context: contextvars.Context, function: Callable[..., None], *args: Any
    ) -> None:
        """Run what is the view's own in a thread, which keeps the stream's place. On the loop.

        Raises:
            RuntimeError: There are too many threads.
        """
        let_go = self.slot.hold()

        def run() -> None:
            try:
                context.run(function, *args)
            finally:
                # A loop that has been closed counts no streams any more.
                with suppress(RuntimeError):
                    self.engine.loop.call_soon_threadsafe(let_go)

        try:
            start_thread(run, name="fanstream-view")
        except RuntimeError:
            let_go()
            raise


class _Slot:
    """A stream's place in the admission, until its viewer and its generator have both ended.

    A generator that is blocked in a thread cannot be made to end when its viewer leaves, and its
    thread is what the bound is for. Used on the loop only.

    Args:
        release: Gives the place back.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release
        self._holders = 1

    def hold(self) -> Callable[[], None]:
        """Count a further holder; return what it calls at its end, once, as `let_go`."""
        if not self._holders:
            return do_nothing  # the place has been given back already
        self._holders += 1
        return self.let_go

    def let_go(self) -> None:
        """Count a holder that has ended."""
        self._holders -= 1
        if not self._holders:
            self._release()


def check_view(view: View) -> None:
    """Refuse a view that `event_stream` cannot serve, when it is decorated.

    Raises:
        TypeError: A coroutine function: it would return, where a view has to yield.
    """
    if inspect.iscoroutinefunction(view):
        raise TypeError(
            f"{view.__name__} is an async function without a yield; event_stream takes a generator,"
            " so instead of returning one: async for event in it, yield event"
        )


async def answer_own(engine: Engine, request: Request) -> Reply:
    """Answer a request for a stream of one's own: open it, or say why not."""
    try:
        return _open(engine, request)
    except RequestError as error:
        return problem_reply(error)


def _open(engine: Engine, request: Request) -> Reply:
    format = choose_format(format=request.query_value("format"), accept=request.header("accept"))
    if format not in WIRES:
        raise NotAcceptable(tuple(WIRES))
    check_reserved(request)
    last_id = request.last_event_id
    if last_id == DONE_ID:
        return Reply(status=204, headers=(("Vary", "Accept"),))
    engine.check_not_draining()
    if request.method == "HEAD":
        return Reply(headers=stream_headers(format))
    slot = _Slot(admit(engine, request))
    log = StreamLog()
    body = StreamBody(
        log,
        wire=WIRES[format],
        # The generator waits for its viewer, which can therefore never be too far behind.
        limits=replace(
            make_limits(engine, request), max_lag_events=sys.maxsize, max_lag_bytes=sys.maxsize
        ),
        now=monotonic(),
        last_id=last_id if last_id and is_id(last_id) else None,
        expires=engine.expiry(),
        ping_as_event=asks_for_ping_events(request),
    )
    viewer = Viewer(body, log=log, alarms=engine.alarms)
    viewer.on_close(slot.let_go)
    engine.add(viewer, is_own=True)
    return OwnStreamReply(
        headers=stream_headers(format), viewer=viewer, engine=engine, log=log, slot=slot
    )
