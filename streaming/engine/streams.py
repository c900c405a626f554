"""Opening a stream: its slot, the place where it starts to read, its body and its viewer.

A document is a stream too, also one that waits for nothing: its client may be as slow as any.
"""

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic

from streaming.core.body import Body, BodyLimits, StreamBody
from streaming.core.caller import ANYONE, Caller
from streaming.core.document import DocumentBody
from streaming.core.errors_request import InvalidParameter
from streaming.core.event import Event
from streaming.core.ident import parse_cursor
from streaming.core.message import STREAM_HEADERS, Headers, Reply, Request
from streaming.core.negotiation import media_type
from streaming.core.origin import client_address
from streaming.core.wire import WIRES
from streaming.engine.client_watch import Watch
from streaming.engine.engine import Engine
from streaming.engine.run import Run
from streaming.engine.viewer import Viewer


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReply(Reply):
    """A reply whose body is a stream: the viewer that steps it, for a driver to take over."""

    viewer: Viewer
    engine: Engine

    def watch_client(self, watch: Watch | None) -> None:
        """Have the viewer's client watched, where there is a way to. On the loop.

        Raises:
            OSError: It cannot be watched, for want of descriptors; the viewer is closed.
        """
        if watch is None:
            return
        try:
            send_timeout = self.engine.settings.server.send_timeout
            watching = watch(viewer=self.viewer, send_timeout=send_timeout)
        except OSError as exc:
            self.viewer.close_on_loop()
            if exc.errno != errno.EBADF:
                raise
            # The server has closed the connection: its client has left already.
            self.viewer.receive_gone()
        else:
            self.viewer.on_close(watching.close)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a viewer starts to read.

    Args:
        run: What it reads.
        after: The number of the last event that it has.
        opening: What it is told first.
    """

    run: Run
    after: int = 0
    opening: tuple[Event, ...] = ()

    @property
    def is_at_end(self) -> bool:
        """Say whether nothing is left to read, and nothing will come."""
        return self.run.is_ended and self.after >= self.run.log.last


async def open_stream(
    engine: Engine,
    request: Request,
    find_place: Callable[[], Awaitable[Place]],
    *,
    format: str,
    caller: Caller = ANYONE,
) -> Reply:
    """Open a stream for a request; for a HEAD, say only what its headers would be.

    Args:
        engine: Whose stream it is.
        request: What asks for it.
        find_place: Says where to start, or starts a run; called only when there is a slot.
        format: The name of the wire.
        caller: Who asks; the stream ends when their right to it does.

    Raises:
        TooManyStreams, TooManyStreamsPerAddress: A bound is reached.
        RequestError: What `find_place` raises; the slot is free again.
    """
    ping_as_event = asks_for_ping_events(request)
    headers = stream_headers(format)
    if request.method == "HEAD":
        return Reply(headers=headers)
    release = admit(engine, request)
    try:
        place = await find_place()
        body = _make_body(
            place,
            limits=make_limits(engine, request),
            format=format,
            expires=engine.expiry(until=caller.expires),
            ping_as_event=ping_as_event,
        )
    except BaseException:
        release()
        raise
    reply = _reply_with(body, place.run, engine=engine, headers=headers, release=release)
    place.run.attach()
    reply.viewer.on_close(place.run.detach)
    return reply


def open_state(engine: Engine, request: Request, run: Run) -> Reply:
    """Open the document of a run as it stands; for a HEAD, say only what its headers would be.

    It takes a slot as any stream does, for its client may be as slow; but who looks at a run is
    no viewer of it, so that neither their coming nor their leaving changes what becomes of it.

    Raises:
        TooManyStreams, TooManyStreamsPerAddress: A bound is reached.
    """
    headers = stream_headers("json")
    if request.method == "HEAD":
        return Reply(headers=headers)
    release = admit(engine, request)
    now = monotonic()
    body = DocumentBody(run.log, now=now, ping_interval=engine.limits.ping_interval, expires=now)
    return _reply_with(body, run, engine=engine, headers=headers, release=release)


def _reply_with(
    body: Body, run: Run, *, engine: Engine, headers: Headers, release: Callable[[], None]
) -> StreamReply:
    viewer = Viewer(body, log=run.log, alarms=engine.alarms)
    viewer.on_close(release)
    engine.add(viewer)
    return StreamReply(headers=headers, viewer=viewer, engine=engine)


def admit(engine: Engine, request: Request) -> Callable[[], None]:
    """Take a slot for the request's client; return what releases it.

    Raises:
        TooManyStreams, TooManyStreamsPerAddress: A bound is reached.
    """
    proxies = engine.settings.server.trusted_proxies
    address = client_address(request, trusted_proxies=proxies)
    engine.admission.take(address)
    return partial(engine.admission.release, address)


def make_limits(engine: Engine, request: Request) -> BodyLimits:
    """Return the bounds of a request's stream."""
    limits = engine.limits
    if request.max_silence is None:
        return limits
    return replace(limits, ping_interval=min(limits.ping_interval, request.max_silence))


def stream_headers(format: str) -> Headers:
    """Return the headers of a response in a format."""
    return (("Content-Type", media_type(format)), *STREAM_HEADERS, ("Vary", "Accept"))


def asks_for_ping_events(request: Request) -> bool:
    """Say whether beats are to be events that a browser's script can see.

    Raises:
        InvalidParameter: `?ping=` is anything but `event`.
    """
    ping = request.query_value("ping")
    if ping not in (None, "event"):
        raise InvalidParameter("ping", "must be 'event' where it is given")
    return ping is not None


def check_reserved(request: Request) -> None:
    """Refuse what stands in the reserved parameters, whether or not the answer will use it.

    Raises:
        InvalidParameter: `?ping=` is anything but `event`.
        IdTooLong: A last event id is over its bound.
    """
    asks_for_ping_events(request)
    for id in (request.header("last-event-id"), request.query_value("last_event_id")):
        if id is not None:
            parse_cursor(id)


def _make_body(
    place: Place, *, limits: BodyLimits, format: str, expires: float, ping_as_event: bool
) -> Body:
    now = monotonic()
    log = place.run.log
    if format == "json":
        return DocumentBody(log, now=now, ping_interval=limits.ping_interval, expires=expires)
    return StreamBody(
        log,
        wire=WIRES[format],
        limits=limits,
        now=now,
        after=place.after,
        last_id=place.run.id_at(place.after) if place.after else None,
        opening=place.opening,
        expires=expires,
        ping_as_event=ping_as_event,
    )
