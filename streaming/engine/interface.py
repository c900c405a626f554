"""The HTTP interface: what each operation of `streaming.core.routes` answers (CONTRACT).

It knows requests and replies, and no framework; both apps serve this one.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from streaming.core import codec
from streaming.core.document import encode_state
from streaming.core.errors import (
    BodyTooLarge,
    InvalidParameter,
    NotAcceptable,
    NotRepeatable,
    RequestError,
    UnknownFeed,
    UnknownRun,
    UnparsableBody,
    UnsupportedMediaType,
)
from streaming.core.event import Event
from streaming.core.feed import RESERVED_PARAMETERS, Feed
from streaming.core.ident import Cursor, parse_cursor
from streaming.core.message import Headers, Reply, Request, json_reply, problem_reply
from streaming.core.negotiation import FORMATS, choose_format, names_stream_type
from streaming.core.openapi import openapi_document
from streaming.core.origin import (
    check_origin,
    cors_headers,
    is_allowed_cross_origin,
    preflight_headers,
)
from streaming.core.routes import ROUTES
from streaming.engine.engine import Engine
from streaming.engine.run import Run
from streaming.engine.streams import Place, check_reserved, open_stream, stream_headers

ANONYMOUS = ""
"""The caller of all requests, as long as nobody is asked who they are."""


class Interface:
    """Answers requests out of an engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._settings = engine.settings
        self._openapi = codec.encode(openapi_document(self._settings.feeds))

    async def answer(self, operation: str, request: Request) -> Reply:
        """Answer a request; whatever is wrong with it is a problem document.

        Args:
            operation: A name out of `ROUTES`, or `preflight`.
            request: The request.
        """
        try:
            reply = await self._operations()[operation](request)
        except RequestError as error:
            reply = problem_reply(error)
        headers = cors_headers(request, cors_origins=self._settings.server.cors_origins)
        return replace(reply, headers=reply.headers + headers) if headers else reply

    def _operations(self) -> Mapping[str, Callable[[Request], Awaitable[Reply]]]:
        return {
            "list_feeds": self._list_feeds,
            "read_feed": self._read_feed,
            "create_run": self._create_run,
            "read_run": self._read_run,
            "delete_run": self._delete_run,
            "read_health": self._read_health,
            "read_readiness": self._read_readiness,
            "read_openapi": self._read_openapi,
            "preflight": self._preflight,
        }

    # ------------------------------------------------------------------- feeds

    async def _list_feeds(self, request: Request) -> Reply:
        feeds = [feed.describe() for feed in self._settings.feeds.values()]
        # A page's watchdog has to know when silence is too long.
        return json_reply({"feeds": feeds, "ping_interval": self._settings.server.ping_interval})

    async def _read_feed(self, request: Request) -> Reply:
        feed = self._find_feed(request)
        self._check_origin(request)
        check_reserved(request)
        format = choose_format(
            format=request.query_value("format"), accept=request.header("accept")
        )
        params = feed.bind(_parameters(request), typed=False)
        return self._stream_feed(request, feed, params, format=format)

    async def _create_run(self, request: Request) -> Reply:
        feed = self._find_feed(request)
        self._check_origin(request)
        check_reserved(request)
        _check_no_parameters(request)
        params = feed.bind(self._json_object(request), typed=True)
        format = request.query_value("format")
        if format is not None and format not in FORMATS:
            raise NotAcceptable(FORMATS)
        accept = request.header("accept")
        if format not in (None, "json") or (format is None and names_stream_type(accept)):
            format = choose_format(format=format, accept=accept)
            return self._stream_feed(request, feed, params, format=format)
        self.engine.check_not_draining()
        run, is_joined = self._join_or_start(feed, params)
        if is_joined:
            run.expect_viewer()
        document = {"run": run.id, "feed": feed.name, "params": dict(params)}
        # Relative, so that a prefix under which the application is served stays.
        headers: Headers = (("Location", f"../runs/{run.id}"), ("Cache-Control", "no-store"))
        return json_reply(document, status=200 if is_joined else 201, headers=headers)

    def _stream_feed(
        self, request: Request, feed: Feed, params: Mapping[str, Any], *, format: str
    ) -> Reply:
        cursor_text = request.last_event_id
        opening: tuple[Event, ...] = ()
        if cursor_text:
            place = self._find_place(parse_cursor(cursor_text), feed, params)
            if place is not None and place.is_at_end:
                return Reply(status=204, headers=(("Vary", "Accept"),))
            if place is not None:
                return open_stream(self.engine, request, lambda: place, format=format)
            _check_repeatable(feed)
            opening = (Event("reset", {"reason": "unknown"}),)
        self.engine.check_not_draining()

        def start() -> Place:
            return Place(self._join_or_start(feed, params)[0], opening=opening)

        return open_stream(self.engine, request, start, format=format)

    def _join_or_start(self, feed: Feed, params: Mapping[str, Any]) -> tuple[Run, bool]:
        """Return the run that such a request sees, and whether it was live before."""
        runs = self.engine.runs
        live = runs.find_live(feed, params, caller=ANONYMOUS)
        return (live, True) if live else (runs.start(feed, params, caller=ANONYMOUS), False)

    def _find_place(
        self, cursor: Cursor | None, feed: Feed, params: Mapping[str, Any]
    ) -> Place | None:
        """Return the place that a cursor names, if it is one of this feed and these parameters."""
        run = self.engine.runs.find(cursor.run) if cursor else None
        if run is None or cursor is None or run.feed.name != feed.name:
            return None
        if codec.encode(run.params) != codec.encode(params) or cursor.n > run.log.last:
            return None
        return Place(run, cursor.n)

    # -------------------------------------------------------------------- runs

    async def _read_run(self, request: Request) -> Reply:
        check_reserved(request)
        format = choose_format(
            format=request.query_value("format"), accept=request.header("accept")
        )
        run = self._find_run(request)
        _check_no_parameters(request)
        if format == "json":
            return Reply(headers=stream_headers(format), body=encode_state(run.log))
        place = _find_place_in(run, request.last_event_id)
        if place.is_at_end:
            return Reply(status=204, headers=(("Vary", "Accept"),))
        return open_stream(self.engine, request, lambda: place, format=format)

    async def _delete_run(self, request: Request) -> Reply:
        self._check_origin(request)
        check_reserved(request)
        run = self._find_run(request)
        _check_no_parameters(request)
        run.stop("stopped")
        await run.wait_ended()
        return Reply(status=204)

    # ------------------------------------------------------------ the process

    async def _read_health(self, request: Request) -> Reply:
        return json_reply({"status": "alive"})

    async def _read_readiness(self, request: Request) -> Reply:
        self.engine.check_not_draining()
        return json_reply({"status": "ready"})

    async def _read_openapi(self, request: Request) -> Reply:
        return Reply(headers=(("Content-Type", "application/json"),), body=self._openapi)

    async def _preflight(self, request: Request) -> Reply:
        route = next(route for route in ROUTES if route.rule == request.rule)
        headers: Headers = (("Allow", ", ".join(route.methods)),)
        origins = self._settings.server.cors_origins
        if is_allowed_cross_origin(request, cors_origins=origins):
            headers += preflight_headers(methods=route.methods)
        return Reply(status=204, headers=headers)

    # --------------------------------------------------------------- what they share

    def _find_feed(self, request: Request) -> Feed:
        name = request.path["feed"]
        feed = self._settings.feeds.get(name)
        if feed is None:
            raise UnknownFeed(name)
        return feed

    def _find_run(self, request: Request) -> Run:
        id = request.path["run"]
        run = self.engine.runs.find(id)
        if run is None:
            raise UnknownRun(id)
        return run

    def _check_origin(self, request: Request) -> None:
        check_origin(request, cors_origins=self._settings.server.cors_origins)

    def _json_object(self, request: Request) -> dict[str, Any]:
        content_type = (request.header("content-type") or "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            raise UnsupportedMediaType
        max_bytes = self._settings.server.max_body_bytes
        if len(request.body) > max_bytes:
            raise BodyTooLarge(max_bytes)
        try:
            document = codec.decode(request.body)
        except ValueError as exc:
            raise UnparsableBody("it is not JSON") from exc
        if not isinstance(document, dict):
            raise UnparsableBody("it is not a JSON object")
        return document


def _find_place_in(run: Run, cursor_text: str | None) -> Place:
    """Return the place in a run that an id names; the start, after a `reset`, for any other id."""
    if not cursor_text:
        return Place(run)
    cursor = parse_cursor(cursor_text)
    if cursor is not None and cursor.run == run.id and cursor.n <= run.log.last:
        return Place(run, cursor.n)
    return Place(run, opening=(Event("reset", {"reason": "unknown"}),))


def _check_repeatable(feed: Feed) -> None:
    """Refuse to start again unasked what must not be had twice: a laptop that wakes buys nothing.

    Raises:
        NotRepeatable: An upstream of the feed is not repeatable.
    """
    for name, upstream in feed.upstreams.items():
        if not upstream.is_repeatable:
            raise NotRepeatable(name)


def _parameters(request: Request) -> dict[str, str]:
    """Return the feed's parameters of the query."""
    parameters: dict[str, str] = {}
    for name, value in request.query:
        if name in RESERVED_PARAMETERS:
            continue
        if name in parameters:
            raise InvalidParameter(name, "is given twice")
        parameters[name] = value
    return parameters


def _check_no_parameters(request: Request) -> None:
    for name in _parameters(request):
        raise InvalidParameter(name, "is not known in this query")
