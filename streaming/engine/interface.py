"""The HTTP interface: what each operation of `streaming.core.routes` answers (CONTRACT).

It knows requests and replies, and no framework; both apps serve this one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from streaming.core import codec
from streaming.core.arguments import (
    check_json_body,
    check_no_arguments,
    json_arguments,
    query_arguments,
)
from streaming.core.bearer import find_token
from streaming.core.caller import ANYONE, Caller
from streaming.core.errors_request import (
    Forbidden,
    LogUnreachable,
    MissingToken,
    NotAcceptable,
    NotRepeatable,
    RequestError,
    UnknownFeed,
    UnknownRun,
)
from streaming.core.event import Event
from streaming.core.feed import Feed
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
from streaming.core.routes import OPEN_OPERATIONS, ROUTES
from streaming.core.settings import Settings
from streaming.engine.engine import Engine
from streaming.engine.run import Run
from streaming.engine.run_table import RETRY_AFTER
from streaming.engine.streams import Place, check_reserved, open_state, open_stream

STOP_TIMEOUT = 10.0
"""Seconds in which a run has to have ended that is stopped; then its log cannot be reached."""

Operation = Callable[[Request, Caller], Awaitable[Reply]]


def with_cors(reply: Reply, request: Request, *, settings: Settings) -> Reply:
    """Let the pages that the configuration admits read a reply, whatever it says."""
    auth = settings.auth
    headers = cors_headers(
        request,
        cors_origins=settings.server.cors_origins,
        with_cookies=auth is not None and auth.cookie != "",
    )
    return replace(reply, headers=reply.headers + headers) if headers else reply


class Interface:
    """Answers requests out of an engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._settings = engine.settings
        self._auth = engine.settings.auth
        self._operations: Mapping[str, Operation] = {
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

    async def answer(self, operation: str, request: Request) -> Reply:
        """Answer a request; whatever is wrong with it is a problem document.

        Args:
            operation: A name out of `ROUTES`, or `preflight`.
            request: The request.
        """
        try:
            caller = ANYONE if operation in OPEN_OPERATIONS else await self._identify(request)
            reply = await self._operations[operation](request, caller)
        except RequestError as error:
            reply = problem_reply(error)
        return with_cors(reply, request, settings=self._settings)

    async def refuse_unread(self, request: Request) -> Reply | None:
        """Answer a request for a run where its body need not be read to refuse it, else None.

        Whoever may not ask, or asks for what there is not, keeps nobody waiting for a body.
        """
        try:
            self._find_feed_to_run(request, await self._identify(request))
        except RequestError as error:
            return with_cors(problem_reply(error), request, settings=self._settings)
        return None

    async def _identify(self, request: Request) -> Caller:
        """Return who asks.

        Raises:
            MissingToken, InvalidToken: It has to be said, and was not, or not rightly.
            KeysUnavailable: Whether it was cannot be found out now.
        """
        if self._auth is None or self.engine.tokens is None:
            return ANYONE
        cors_origins = self._settings.server.cors_origins
        token = find_token(request, cookie=self._auth.cookie, cors_origins=cors_origins)
        if token is None:
            raise MissingToken
        return await self.engine.tokens.verify(token)

    # ------------------------------------------------------------------- feeds

    async def _list_feeds(self, request: Request, caller: Caller) -> Reply:
        feeds = [feed.describe() for feed in self._feeds_of(caller).values()]
        # A page's watchdog has to know when silence is too long.
        return json_reply({"feeds": feeds, "ping_interval": self._settings.server.ping_interval})

    async def _read_feed(self, request: Request, caller: Caller) -> Reply:
        feed = self._find_feed(request, caller)
        self._check_origin(request)
        check_reserved(request)
        format = choose_format(
            format=request.query_value("format"), accept=request.header("accept")
        )
        params = feed.bind(query_arguments(request), typed=False)
        return await self._stream_feed(request, caller, feed, params, format=format)

    async def _create_run(self, request: Request, caller: Caller) -> Reply:
        feed = self._find_feed_to_run(request, caller)
        params = feed.bind(json_arguments(request.body), typed=True)
        format = request.query_value("format")
        if format is not None and format not in FORMATS:
            raise NotAcceptable(FORMATS)
        accept = request.header("accept")
        if format not in (None, "json") or (format is None and names_stream_type(accept)):
            format = choose_format(format=format, accept=accept)
            return await self._stream_feed(request, caller, feed, params, format=format)
        self.engine.check_not_draining()
        run, is_joined = await self._join_or_start(feed, params, caller)
        if is_joined:
            run.expect_viewer()
        document = {"run": run.id, "feed": feed.name, "params": dict(params)}
        # Relative, so that a prefix under which the application is served stays.
        headers: Headers = (("Location", f"../runs/{run.id}"), ("Cache-Control", "no-store"))
        return json_reply(document, status=200 if is_joined else 201, headers=headers)

    def _find_feed_to_run(self, request: Request, caller: Caller) -> Feed:
        """Find the feed that a body is sent to, and check all of the request but this body."""
        feed = self._find_feed(request, caller)
        self._check_origin(request)
        check_reserved(request)
        check_no_arguments(request)
        check_json_body(request, max_body_bytes=self._settings.server.max_body_bytes)
        return feed

    async def _stream_feed(
        self,
        request: Request,
        caller: Caller,
        feed: Feed,
        params: Mapping[str, Any],
        *,
        format: str,
    ) -> Reply:
        cursor_text = request.last_event_id
        opening: tuple[Event, ...] = ()
        if cursor_text:
            place = await self._find_place(parse_cursor(cursor_text), feed, params, caller)
            if place is not None and place.is_at_end:
                return Reply(status=204, headers=(("Vary", "Accept"),))
            if place is not None:
                return await self._open(request, caller, _already(place), format=format)
            _check_repeatable(feed)
            opening = (Event("reset", {"reason": "unknown"}),)
        self.engine.check_not_draining()

        async def start() -> Place:
            run, _ = await self._join_or_start(feed, params, caller)
            return Place(run, opening=opening)

        return await self._open(request, caller, start, format=format)

    async def _open(
        self,
        request: Request,
        caller: Caller,
        find_place: Callable[[], Awaitable[Place]],
        *,
        format: str,
    ) -> Reply:
        return await open_stream(self.engine, request, find_place, format=format, caller=caller)

    async def _join_or_start(
        self, feed: Feed, params: Mapping[str, Any], caller: Caller
    ) -> tuple[Run, bool]:
        """Return the run that such a request sees, and whether it was live before."""
        runs = self.engine.runs
        live = await runs.find_live(feed, params, caller=caller.id)
        return (live, True) if live else await runs.start(feed, params, caller=caller.id)

    async def _find_place(
        self, cursor: Cursor | None, feed: Feed, params: Mapping[str, Any], caller: Caller
    ) -> Place | None:
        """Return the place that a cursor names, if it is one of what this request asks for."""
        run = await self.engine.runs.find(cursor.run) if cursor else None
        if run is None or cursor is None or run.feed.name != feed.name:
            return None
        if not caller.may_watch(feed, started_by=run.caller):
            return None
        if codec.encode(run.params) != codec.encode(params) or cursor.n > run.log.last:
            return None
        return Place(run, cursor.n)

    # -------------------------------------------------------------------- runs

    async def _read_run(self, request: Request, caller: Caller) -> Reply:
        check_reserved(request)
        format = choose_format(
            format=request.query_value("format"), accept=request.header("accept")
        )
        run = await self._find_run(request, caller)
        if not caller.may_watch(run.feed, started_by=run.caller):
            raise Forbidden("watch this run")
        check_no_arguments(request)
        if format == "json":
            return open_state(self.engine, request, run)
        place = _find_place_in(run, request.last_event_id)
        if place.is_at_end:
            return Reply(status=204, headers=(("Vary", "Accept"),))
        return await self._open(request, caller, _already(place), format=format)

    async def _delete_run(self, request: Request, caller: Caller) -> Reply:
        self._check_origin(request)
        check_reserved(request)
        if not caller.may_stop:
            raise Forbidden("end runs")
        run = await self._find_run(request, caller)
        check_no_arguments(request)
        run.stop("stopped")
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await run.wait_ended()
        except TimeoutError as exc:
            raise LogUnreachable(retry_after=RETRY_AFTER) from exc
        return Reply(status=204)

    # ------------------------------------------------------------ the process

    async def _read_health(self, request: Request, caller: Caller) -> Reply:
        return json_reply({"status": "alive"})

    async def _read_readiness(self, request: Request, caller: Caller) -> Reply:
        self.engine.check_not_draining()
        if not await self.engine.runs.is_reachable():
            raise LogUnreachable(retry_after=RETRY_AFTER)
        return json_reply({"status": "ready"})

    async def _read_openapi(self, request: Request, caller: Caller) -> Reply:
        document = openapi_document(self._feeds_of(caller), auth=self._auth)
        return json_reply(document)

    async def _preflight(self, request: Request, caller: Caller) -> Reply:
        route = next(route for route in ROUTES if route.rule == request.rule)
        headers: Headers = (("Allow", ", ".join(route.methods)),)
        origins = self._settings.server.cors_origins
        if is_allowed_cross_origin(request, cors_origins=origins):
            headers += preflight_headers(methods=route.methods)
        return Reply(status=204, headers=headers)

    # --------------------------------------------------------------- what they share

    def _feeds_of(self, caller: Caller) -> Mapping[str, Feed]:
        feeds = self._settings.feeds
        return {name: feed for name, feed in feeds.items() if caller.may_run(name)}

    def _find_feed(self, request: Request, caller: Caller) -> Feed:
        name = request.path["feed"]
        # Before it is looked for: who may not run it does not learn whether there is one.
        caller.check_feed(name)
        feed = self._settings.feeds.get(name)
        if feed is None:
            raise UnknownFeed(name)
        return feed

    async def _find_run(self, request: Request, caller: Caller) -> Run:
        id = request.path["run"]
        run = await self.engine.runs.find(id)
        if run is None:
            raise UnknownRun(id)
        caller.check_feed(run.feed.name)
        return run

    def _check_origin(self, request: Request) -> None:
        check_origin(request, cors_origins=self._settings.server.cors_origins)


def _already(place: Place) -> Callable[[], Awaitable[Place]]:
    async def find() -> Place:
        return place

    return find


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
