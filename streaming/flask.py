"""fanstream for Flask: an application, a blueprint, and a decorator for a view of one's own.

The work is done on the loop of a thread that the bridge keeps; the body of a response is a
generator in the worker's thread. This module hands requests and replies over, and decides nothing.
"""

import functools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import httpx
from flask import Blueprint, Flask, Response, current_app, request, stream_with_context
from werkzeug.exceptions import HTTPException

from streaming import adapter, page_files
from streaming.core.errors_request import BodyTooLarge, RequestError, UnparsableBody
from streaming.core.feed import Feed
from streaming.core.message import Reply, Request, problem_reply
from streaming.core.routes import ROUTES, Route
from streaming.core.settings import AuthSettings, ServerSettings, Settings
from streaming.engine.bridge import Bridge, drive_in_thread
from streaming.engine.client_watch import Watch, find_watch
from streaming.engine.engine import check_settings
from streaming.engine.interface import with_cors
from streaming.engine.own_stream import OwnStreamReply, check_view
from streaming.engine.read_deadline import ReadDeadline
from streaming.engine.streams import StreamReply

__all__ = ["blueprint", "create_app", "event_stream"]


def create_app(settings: Settings, *, client: httpx.AsyncClient | None = None) -> Flask:
    """Make an application that serves the feeds of a configuration, and the page.

    Making it opens no socket, thread or loop; the first request does.

    Args:
        settings: The configuration; see `streaming.config.load`.
        client: A client of your own for the upstream calls. It is used on the engine's loop only,
            and not closed here. None for fanstream's own.

    Raises:
        ConfigError: The configuration asks for what this version does not do, or names what cannot
            be used.
    """
    app = Flask("streaming", static_folder=None)
    # A path with a slash too many is none of ours, rather than a redirect in HTML.
    app.url_map.merge_slashes = False
    app.register_blueprint(_make_blueprint(settings, client=client, name="fanstream"))
    app.register_error_handler(HTTPException, functools.partial(_problem, settings))
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


def event_stream(view: Callable[..., Any]) -> Callable[..., Any]:
    """Make a streaming endpoint of a view that is a generator, plain or async.

    It yields events, dicts or strings. A plain generator runs in the request's thread, so that a
    beat is written only between its items; an async one runs on the engine's loop, with the
    request's context variables. A view that takes `last_event_id` is handed what the client sends
    to resume, or None. One that returns anything but a generator has answered by itself.

    Raises:
        TypeError: The view is a coroutine function rather than a generator.
    """
    check_view(view)

    @functools.wraps(view)
    def endpoint(**path: Any) -> Any:
        incoming, watch = _read()
        reply = _bridge().open_own(incoming, watch=watch)
        if not isinstance(reply, OwnStreamReply):
            return _respond(reply)
        items = reply.call(view, incoming, path)
        if not reply.takes(items):
            return items
        if isinstance(items, AsyncIterator):
            reply.run(items)
            return _respond(reply, stream_with_context(drive_in_thread(reply.viewer)))
        return _respond(reply, stream_with_context(reply.drive(items)))

    return endpoint


class _PageBlueprint(Blueprint):
    """Serves the files of `page_files`, each whole: they are too short for ranges."""

    def send_static_file(self, filename: str) -> Response:
        headers, body = page_files.read_file(filename, request)
        response = Response(body, headers=dict(headers))
        response.make_conditional(request)
        return response


def _make_blueprint(
    settings: Settings, *, client: httpx.AsyncClient | None, name: str
) -> Blueprint:
    check_settings(settings, client=client)
    bridge = Bridge(functools.partial(adapter.make_engine, settings, client=client))
    folder = page_files.static_folder()
    made = _PageBlueprint(name, __name__, static_folder=folder, static_url_path="/static")
    made.record(lambda state: state.app.extensions.setdefault(adapter.EXTENSION, bridge))
    made.add_url_rule("/", "page", functools.partial(_page, made))
    for route in ROUTES:
        made.add_url_rule(
            route.rule,
            route.name,
            functools.partial(_answer, bridge, route, settings),
            methods=route.methods,
            provide_automatic_options=False,
        )
    return made


def _answer(bridge: Bridge, route: Route, settings: Settings, **path: str) -> Response:
    incoming, watch = _read(route=route, path=path)
    if route.reads_body(request.method):
        if refusal := bridge.refuse_unread(incoming):
            return _respond(refusal)
        try:
            incoming = replace(incoming, body=_read_body(settings.server.max_body_bytes))
        except RequestError as error:
            return _respond(with_cors(problem_reply(error), incoming, settings=settings))
    reply = bridge.answer(route.operation(request.method), incoming, watch=watch)
    if isinstance(reply, StreamReply):
        return _respond(reply, drive_in_thread(reply.viewer))
    return _respond(reply)


def _read_body(max_body_bytes: int) -> bytes:
    """Read the body, and no more of it than shows that it is too long.

    Raises:
        BodyTooLarge: It is.
        BodyTooSlow: It has not come within `adapter.BODY_TIMEOUT`.
        UnparsableBody: It breaks off, or is not framed as HTTP says.
    """
    deadline = ReadDeadline(request.environ, timeout=adapter.BODY_TIMEOUT)
    try:
        with deadline:
            body = request.stream.read(max_body_bytes + 1)
    # Each server has classes of its own for what is no body.
    except Exception as exc:
        deadline.check()
        raise UnparsableBody("it breaks off, or is not framed as HTTP says") from exc
    deadline.check()
    if len(body) > max_body_bytes:
        raise BodyTooLarge(max_body_bytes)
    return body


def _respond(reply: Reply, pieces: Iterator[bytes] | None = None) -> Response:
    headers, body = adapter.write_headers(reply, request)
    response = Response(pieces or body, status=reply.status)
    if isinstance(reply, StreamReply):
        # Flask tears down after the body's end: a drain waits for that as well.
        response.call_on_close(reply.engine.expect_close(response))
    # The length of what a HEAD does not get is known to the interface alone.
    response.automatically_set_content_length = False
    response.headers.clear()
    response.headers.extend(headers)
    return response


def _read(**parts: Any) -> tuple[Request, Watch | None]:
    """Read the request, and find how its client can be watched."""
    watch = find_watch(request.environ)
    max_silence = adapter.MAX_SILENCE_WITHOUT_WATCH if watch is None else None
    return adapter.read_request(request, max_silence=max_silence, **parts), watch


def _bridge() -> Bridge:
    """Return the application's bridge; one with the defaults where no blueprint brought one."""
    extensions = current_app.extensions
    if adapter.EXTENSION not in extensions:
        extensions.setdefault(
            adapter.EXTENSION, Bridge(functools.partial(adapter.make_engine, Settings()))
        )
    bridge: Bridge = extensions[adapter.EXTENSION]
    return bridge


def _page(made: Blueprint) -> Response:
    response = made.send_static_file("index.html")
    response.headers["Content-Security-Policy"] = page_files.POLICY
    return response


def _problem(settings: Settings, error: HTTPException) -> Response:
    reply = adapter.problem_of(error)
    return _respond(with_cors(reply, adapter.read_request(request), settings=settings))
