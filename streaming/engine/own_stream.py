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
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from streaming.core.body import StreamBody
from streaming.core.errors_request import NotAcceptable, RequestError
from streaming.core.event import Event, is_id
from streaming.core.message import Reply, Request, problem_reply
from streaming.core.negotiation import choose_format
from streaming.core.wire import WIRES
from streaming.engine.engine import Engine
from streaming.engine.log_stream import LogClosed, StreamLog
from streaming.engine.merge import is_being_cancelled
from streaming.engine.own_story import DONE_ID, Story
from streaming.engine.streams import (
    StreamReply,
    admit,
    asks_for_ping_events,
    check_reserved,
    make_limits,
    stream_headers,
)
from streaming.engine.viewer import Viewer, close_when_dropped

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
        try:
            return view(**given)
        except BaseException:
            self.viewer.close()
            raise

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
        else:
            thread = threading.Thread(
                target=context.run,
                args=(self._write_in_thread, items),
                name="fanstream-view",
                daemon=True,
            )
            self.slot.hold()
            try:
                thread.start()
            except RuntimeError:  # there are too many
                self.slot.let_go()
                self.viewer.close()
                raise

    def drive(self, items: Iterator[Any]) -> Iterator[bytes]:
        """Run a plain generator in this very thread, between the steps of the body.

        While the generator is silent there is no beat, and its client's leaving is not noticed.
        """
        pieces = self._drive(items)
        close_when_dropped(pieces, self.viewer)
        return pieces

    def _drive(self, items: Iterator[Any]) -> Iterator[bytes]:
        story = _story(items)
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
        task = self.engine.loop.create_task(_write(items, self.log), context=context)
        self.engine.own(task)
        if self.slot.hold():
            task.add_done_callback(lambda _: self.slot.let_go())
        self.viewer.on_close(task.cancel)

    def _write_in_thread(self, items: Iterator[Any]) -> None:
        try:
            _write_all(items, self.log)
        finally:
            # A loop that has been closed counts no streams any more.
            with suppress(RuntimeError):
                self.engine.loop.call_soon_threadsafe(self.slot.let_go)


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

    def hold(self) -> bool:
        """Count a further holder; False where the place has been given back already."""
        if self._holders:
            self._holders += 1
        return self._holders > 0

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
    viewer = Viewer(body, log=log)
    viewer.on_close(slot.let_go)
    engine.add(viewer, is_own=True)
    return OwnStreamReply(
        headers=stream_headers(format), viewer=viewer, engine=engine, log=log, slot=slot
    )


async def _write(items: AsyncIterator[Any], log: StreamLog) -> None:
    """Write what an async generator yields, until it ends or its viewer has gone."""
    story = Story()
    with suppress(LogClosed):
        try:
            await _write_items(items, log, story)
            last_words = story.last_words()
        except LogClosed:
            raise
        except asyncio.CancelledError as exc:
            if is_being_cancelled():
                raise
            last_words = story.last_words(exc)  # something that the view awaited was cancelled
        except Exception as exc:  # noqa: BLE001 - the outer edge of the view's own code
            last_words = story.last_words(exc)
        for event in last_words:
            await log.append(event)
        log.end()


async def _write_items(items: AsyncIterator[Any], log: StreamLog, story: Story) -> None:
    try:
        async for item in items:
            await log.append(story.event_of(item))
    finally:
        if aclose := getattr(items, "aclose", None):
            await aclose()


def _write_all(items: Iterator[Any], log: StreamLog) -> None:
    """Write what a plain generator yields, until it ends or its viewer has gone."""
    try:
        with suppress(LogClosed), closing(_story(items)) as story:
            for event in story:
                log.append_from_thread(event)
    finally:
        log.end()


def _story(items: Iterator[Any]) -> Generator[Event, None, None]:
    """Give the events of a plain generator, and the last words after its end or its exception.

    Closing it closes the generator.
    """
    story = Story()
    try:
        yield from _events(items, story)
    except Exception as exc:  # noqa: BLE001 - the outer edge of the view's own code
        yield from story.last_words(exc)
    else:
        yield from story.last_words()


def _events(items: Iterator[Any], story: Story) -> Iterator[Event]:
    try:
        for item in items:
            yield story.event_of(item)
    except GeneratorExit:
        story.receive_left()
        raise
    finally:
        if close := getattr(items, "close", None):
            close()
