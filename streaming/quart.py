"""fanstream for Quart: an application, a blueprint, and a decorator for a view of one's own.

The work is done on Quart's own loop; the body of a response is an async generator. This module
hands requests and replies over, and decides nothing.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any, cast

import httpx
from quart import (
    Blueprint,
    Quart,
    Response,
    current_app,
    has_request_context,
    request,
    websocket,
)
from quart.wrappers import BaseRequestWebsocket
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from streaming import adapter, page_files
from streaming.asgi import StreamSending, open_body
from streaming.asgi_gateway import ShortWay
from streaming.core.errors_request import BodyTooLarge, BodyTooSlow, RequestError
from streaming.core.feed import Feed
from streaming.core.message import Reply, problem_reply
from streaming.core.routes import ROUTES, Route
from streaming.core.settings import AuthSettings, ServerSettings, Settings
from streaming.engine.engine import check_settings
from streaming.engine.interface import with_cors
from streaming.engine.loop_host import LoopHost
from streaming.engine.own_stream import OwnStreamReply, answer_own, check_view
from streaming.engine.streams import StreamReply
from streaming.quart_application import Application

__all__ = ["blueprint", "create_app", "event_stream"]


def create_app(settings: Settings, *, client: httpx.AsyncClient | None = None) -> Quart:
    """Make an application that serves the feeds of a configuration, and the page.

    Making it opens no socket, thread or loop; the first request does.

    Args:
        settings: The configuration; see `streaming.config.load`.
        client: A client of your own for the upstream calls; not closed here. None for fanstream's
            own.

    Raises:
        ConfigError: The configuration asks for what this version does not do, or names what cannot
            be used.
    """
    app = Application("streaming", static_folder=None)
    # A path with a slash too many is none of ours, rather than a redirect in HTML.
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = settings.server.max_body_bytes
    app.register_blueprint(_make_blueprint(settings, client=client, name="fanstream"))
    app.register_error_handler(HTTPException, functools.partial(_problem, settings))
    return app


def create_gateway(settings: Settings) -> Quart:
    """Make an application that serves the feeds of a configuration, and never anything else.

    As `create_app` does, but that streams are answered without Quart: a function that is added to
    this application, such as one before each request, does not see them.

    Raises:
        ConfigError: See `create_app`.
    """
    app = create_app(settings)
    host = app.extensions[adapter.EXTENSION]
    app.asgi_app = ShortWay(cast("Any", app.asgi_app), host=host, settings=settings)  # type: ignore[method-assign,assignment]
    return app


def blueprint(
    feeds: Iterable[Feed],
    *,
    server: ServerSettings | None = None,
    auth: AuthSettings | None = None,
    client: httpx.AsyncClient | None = None,
    name: str = "fanstream",
) -> Blueprint:
    """Make a blueprint that adds feeds, and their page, to an application of your own.

    Args:
        feeds: What it serves.
        server: The bounds of the process; None for the defaults.
        auth: What tokens have to be; None where nobody is asked for one.
        client: As in `create_app`.
        name: The blueprint's name.
    """
    settings = adapter.settings_of(feeds, server=server, auth=auth)
    return _make_blueprint(settings, client=client, name=name)


def event_stream(view: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Make a streaming endpoint of a view that is a generator, plain or async.

    It yields events, dicts or strings. An async generator runs in a task, a plain one in a thread
    of its own, either with the request's context variables. A view that takes `last_event_id` is
    handed what the client sends to resume, or None. One that returns anything but a generator has
    answered by itself.

    Raises:
        TypeError: The view is a coroutine function rather than a generator.
    """
    check_view(view)

    @functools.wraps(view)
    async def endpoint(**path: Any) -> Any:
        incoming = adapter.read_request(request)
        reply = await answer_own(_host().engine, incoming)
        if isinstance(reply, OwnStreamReply):
            items = reply.call(view, incoming, path)
            if not reply.takes(items):
                return items
            reply.run(items)
        return _respond(reply)

    return endpoint


class _PageBlueprint(Blueprint):
    """Serves the files of `page_files`, each whole: they are too short for ranges."""

    async def send_static_file(self, filename: str) -> Response:
        headers, body = page_files.read_file(filename, request)
        response = Response(body, headers=dict(headers))
        await response.make_conditional(request)
        return response


def _make_blueprint(
    settings: Settings, *, client: httpx.AsyncClient | None, name: str
) -> Blueprint:
    check_settings(settings, client=client)
    host = LoopHost(functools.partial(adapter.make_engine, settings, client=client))
    folder = page_files.static_folder()
    made = _PageBlueprint(name, __name__, static_folder=str(folder), static_url_path="/static")
    made.record(lambda state: state.app.extensions.setdefault(adapter.EXTENSION, host))
    made.record(lambda state: StreamSending.install(state.app))
    made.after_app_serving(host.aclose)
    made.add_url_rule("/", "page", functools.partial(_page, made))
    for route in ROUTES:
        made.add_url_rule(
            route.rule,
            route.name,
            functools.partial(_answer, host, route, settings),
            methods=route.methods,
            provide_automatic_options=False,
        )
    return made


async def _answer(host: LoopHost, route: Route, settings: Settings, **path: str) -> Response:
    incoming = adapter.read_request(request, route=route, path=path)
    if route.reads_body(request.method):
        if refusal := await host.refuse_unread(incoming):
            return _respond(refusal)
        try:
            incoming = replace(incoming, body=await _read_body(settings.server.max_body_bytes))
        except RequestError as error:
            return _respond(with_cors(problem_reply(error), incoming, settings=settings))
    return _respond(await host.answer(route.operation(request.method), incoming))


async def _read_body(max_body_bytes: int) -> bytes:
    """Read the body, and no more of it than shows that it is too long.

    Raises:
        BodyTooLarge: It is.
        BodyTooSlow: It has not come within `adapter.BODY_TIMEOUT`.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(adapter.BODY_TIMEOUT):
            async for data in request.body:
                body += data
                if len(body) > max_body_bytes:
                    raise BodyTooLarge(max_body_bytes)
    except RequestEntityTooLarge as exc:
        raise BodyTooLarge(max_body_bytes) from exc
    except TimeoutError as exc:
        raise BodyTooSlow(adapter.BODY_TIMEOUT) from exc
    return bytes(body)


def _respond(reply: Reply, *, to: BaseRequestWebsocket = request) -> Response:
    headers, body = adapter.write_headers(reply, to)
    pieces: Any = body
    if isinstance(reply, StreamReply):
        pieces = open_body(reply, to.scope)
    response = Response(pieces, status=reply.status)
    # Quart's default of 60 s would cut a stream off without a word.
    response.timeout = None
    response.headers.clear()
    response.headers.extend(headers)
    return response


def _host() -> LoopHost:
    """Return the application's host; one with the defaults where no blueprint brought one."""
    extensions = current_app.extensions
    if adapter.EXTENSION not in extensions:
        own = LoopHost(functools.partial(adapter.make_engine, Settings()))
        # `after_serving` is closed to further functions once requests have come.
        current_app.after_serving_funcs.append(own.aclose)
        extensions[adapter.EXTENSION] = own
    host: LoopHost = extensions[adapter.EXTENSION]
    return host


async def _page(made: Blueprint) -> Response:
    response = await made.send_static_file("index.html")
    response.headers["Content-Security-Policy"] = page_files.POLICY
    return response


async def _problem(settings: Settings, error: HTTPException) -> Response:
    reply = adapter.problem_of(error)
    if not has_request_context():
        # Who asks for a WebSocket, which is nowhere here, has made no request.
        return _respond(reply, to=websocket)
    return _respond(with_cors(reply, adapter.read_request(request), settings=settings))
