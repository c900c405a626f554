"""A stream of one's own: the generator of a view, bound to its one viewer (DESIGN).

Its events go through a small bounded log, so that the body beats while the generator is silent, and
the generator waits while its client is slow. It is not resumable unless it yields ids of its own.
An exception becomes `failure` (`internal`) and `done` (`failed`); the end of the generator becomes
`done` (`finished`), with an id that is answered 204 when a browser comes back with it.
"""

import contextvars
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from streaming.core.body import StreamBody
from streaming.core.errors import InternalError, NotAcceptable, RequestError
from streaming.core.event import Event
from streaming.core.message import Reply, Request, problem_reply
from streaming.core.negotiation import choose_format
from streaming.core.wire import WIRES
from streaming.engine.engine import Engine
from streaming.engine.log_stream import LogClosed, StreamLog
from streaming.engine.streams import (
    StreamReply,
    admit,
    asks_for_ping_events,
    make_limits,
    stream_headers,
)
from streaming.engine.viewer import Viewer

logger = logging.getLogger("fanstream")

DONE_ID = "done"
"""The id of the last event. It says that all has been had, so coming back with it gives a 204."""

View = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnStreamReply(StreamReply):
    """A stream that is open and waits for the generator that fills it.

    One of the three is called once, from the request's thread or task, whose context variables the
    generator runs with.
    """

    engine: Engine
    log: StreamLog

    def run(self, items: AsyncIterator[Any] | Iterator[Any]) -> None:
        """Run an async generator in a task of the engine, or a plain one in a thread of its own."""
        context = contextvars.copy_context()
        if isinstance(items, AsyncIterator):
            self.engine.loop.call_soon_threadsafe(self._start_task, items, context)
        else:
            threading.Thread(
                target=context.run,
                args=(_write_in_thread, items, self.log),
                name="fanstream-view",
                daemon=True,
            ).start()

    def drive(self, items: Iterator[Any]) -> Iterator[bytes]:
        """Run a plain generator in this very thread, between the steps of the body.

        While the generator is silent there is no beat, and its client's leaving is not noticed.
        """
        try:
            for event in _story(items):
                self.log.append_nowait(event)
                while isinstance(step := self.viewer.step(monotonic()), bytes):
                    yield step
                if step is None:
                    return
            self.log.end()
            while isinstance(step := self.viewer.step(monotonic()), bytes):
                yield step
        except LogClosed:
            pass
        finally:
            self.viewer.close()
            _close(items)

    def _start_task(self, items: AsyncIterator[Any], context: contextvars.Context) -> None:
        task = self.engine.loop.create_task(_write(items, self.log), context=context)
        self.engine.own(task)
        self.viewer.on_close(task.cancel)


async def answer_own(engine: Engine, request: Request) -> Reply:
    """Answer a request for a stream of one's own: open it, or say why not."""
    try:
        return _open(engine, request)
    except RequestError as error:
        return problem_reply(error)


def call_view(view: View, request: Request, path: Mapping[str, Any]) -> Any:
    """Call a view's function; one that takes `last_event_id` is handed the client's, or None."""
    if "last_event_id" in inspect.signature(view).parameters:
        return view(**path, last_event_id=_last_event_id(request))
    return view(**path)


def _open(engine: Engine, request: Request) -> Reply:
    format = choose_format(format=request.query_value("format"), accept=request.header("accept"))
    if format not in WIRES:
        raise NotAcceptable(tuple(WIRES))
    ping_as_event = asks_for_ping_events(request)
    if _last_event_id(request) == DONE_ID:
        return Reply(status=204, headers=(("Vary", "Accept"),))
    engine.check_not_draining()
    if request.method == "HEAD":
        return Reply(headers=stream_headers(format))
    release = admit(engine, request)
    log = StreamLog()
    body = StreamBody(
        log,
        wire=WIRES[format],
        limits=make_limits(engine, request),
        now=monotonic(),
        expires=engine.expiry(),
        ping_as_event=ping_as_event,
    )
    viewer = Viewer(body, log=log)
    viewer.on_close(release)
    engine.add(viewer, is_own=True)
    return OwnStreamReply(headers=stream_headers(format), viewer=viewer, engine=engine, log=log)


def _last_event_id(request: Request) -> str | None:
    """Return what the client sends to resume; the header before the query."""
    return request.header("last-event-id") or request.query_value("last_event_id")


async def _write(items: AsyncIterator[Any], log: StreamLog) -> None:
    """Write what an async generator yields, until it ends or its viewer has gone."""
    story = _Story()
    try:
        async for item in items:
            await log.append(story.event_of(item))
        closing = story.last_words()
    except LogClosed:
        return
    except Exception as exc:  # noqa: BLE001 - the outer edge of the view's own code
        closing = story.last_words(exc)
    finally:
        if aclose := getattr(items, "aclose", None):
            await aclose()
    with suppress(LogClosed):
        for event in closing:
            await log.append(event)
    log.end()


def _write_in_thread(items: Iterator[Any], log: StreamLog) -> None:
    """Write what a plain generator yields, until it ends or its viewer has gone."""
    try:
        for event in _story(items):
            log.append_from_thread(event)
    except LogClosed:
        pass
    finally:
        _close(items)
        log.end()


def _story(items: Iterator[Any]) -> Iterator[Event]:
    """Give the events of a plain generator, and the last words after its end or its exception."""
    story = _Story()
    try:
        for item in items:
            yield story.event_of(item)
    except Exception as exc:  # noqa: BLE001 - the outer edge of the view's own code
        yield from story.last_words(exc)
    else:
        yield from story.last_words()


def _close(items: Iterator[Any]) -> None:
    if close := getattr(items, "close", None):
        close()


class _Story:
    """Makes events of what a view yields, and the last words of its stream."""

    def __init__(self) -> None:
        self._started = monotonic()
        self._is_done = False

    def event_of(self, item: Any) -> Event:
        """Return the event of one item: an event as it is, else a `message` with the item as data.

        Raises:
            InvalidEvent: The item has no JSON form.
        """
        event = item if isinstance(item, Event) else Event(data=item)
        self._is_done = event.name == "done"
        return event

    def last_words(self, error: Exception | None = None) -> list[Event]:
        """Return what ends the stream, unless the view has said `done` itself."""
        at = round(monotonic() - self._started, 6)
        if error is not None:
            logger.error("the generator of a stream raised", exc_info=error)
            internal = InternalError()
            data = {"at": at, "upstream": None, "code": internal.code, "message": str(internal)}
            return [Event("failure", data), _done(at, ok=0, failed=1, reason="failed")]
        return [] if self._is_done else [_done(at, ok=1, failed=0, reason="finished")]


def _done(at: float, *, ok: int, failed: int, reason: str) -> Event:
    counts = {"ok": ok, "failed": failed, "cancelled": 0}
    return Event("done", {"at": at, **counts, "elapsed": at, "reason": reason}, id=DONE_ID)
