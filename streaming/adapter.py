"""What the two adapters share: Flask's and Quart's requests and responses are both Werkzeug's.

It reads a request whole and writes a reply's headers; it decides nothing.
"""

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import httpx
from werkzeug.exceptions import HTTPException
from werkzeug.sansio.request import Request as WerkzeugRequest

from streaming.core.feed import Feed
from streaming.core.message import Headers, Reply, Request, join_fields, problem
from streaming.core.routes import Route
from streaming.core.settings import AuthSettings, ServerSettings, Settings
from streaming.engine.connections import Connections
from streaming.engine.control import CONTROL_VARIABLE, find_ending
from streaming.engine.driver import Take
from streaming.engine.engine import Engine
from streaming.engine.keep_alive import SILENCE_MARGIN
from streaming.engine.listeners import bound_listeners

EXTENSION = "fanstream"
"""The key in `app.extensions` under which an application's engine is found."""

ABORT_EXTENSION = "fanstream.abort"
"""The ASGI extension by which a server lets its application break a connection off: a function."""

TAKE_EXTENSION = "fanstream.take"
"""The ASGI extension by which a server writes pieces of a body without a coroutine: a function that
returns the `Take` of the response which a `send` is for, or None where that is not the server's."""

MAX_SILENCE_WITHOUT_WATCH = 1.0
"""Seconds: where a client cannot be watched, only a failing write tells that it has gone."""

BODY_TIMEOUT = 30.0
"""Seconds in which all of a request's body has to come; a slower one is `BodyTooSlow`."""

_connections = Connections()


def read_request(
    request: WerkzeugRequest,
    *,
    route: Route | None = None,
    path: Mapping[str, str] | None = None,
    max_silence: float | None = None,
) -> Request:
    """Read what the interface needs to know of a framework's request."""
    return Request(
        method=request.method,
        rule=route.rule if route else "",
        path=path or {},
        query=read_query(request.query_string),
        headers=as_sent(join_fields(request.headers)),
        peer=request.remote_addr or "",
        max_silence=max_silence,
    )


def as_sent(headers: dict[str, str]) -> dict[str, str]:
    """Return header fields that were read as Latin-1 with a `Last-Event-ID` as it was sent.

    A browser sends it as UTF-8.
    """
    id = headers.get("last-event-id")
    if id is not None and not id.isascii():
        headers["last-event-id"] = id.encode("latin-1", "replace").decode("utf-8", "replace")
    return headers


def read_query(query_string: bytes) -> tuple[tuple[str, str], ...]:
    """Decode a query. What is not UTF-8 becomes lone surrogates, which no parameter may have.

    Werkzeug's own `args` would put other text in its place.
    """
    text = query_string.decode("utf-8", "surrogateescape")
    return tuple(parse_qsl(text, keep_blank_values=True, errors="surrogateescape"))


def write_headers(reply: Reply, request: WerkzeugRequest) -> tuple[Headers, bytes]:
    """Return the headers and the body of a reply; the answer to a HEAD has none to send."""
    if not reply.body:
        return reply.headers, b""
    headers = (*reply.headers, ("Content-Length", str(len(reply.body))))
    return headers, b"" if request.method == "HEAD" else reply.body


def find_abort(scope: Mapping[str, Any]) -> Callable[[], object] | None:
    """Return what breaks off the connection of an ASGI request; None where nothing can.

    The server's own means, else by its addresses; see `streaming.engine.driver.drive`.
    """
    offered: Callable[[], object] | None = (scope.get("extensions") or {}).get(ABORT_EXTENSION)
    if offered is not None:
        return offered
    peer, local = scope.get("client"), scope.get("server")
    # Of a Unix socket there is only a path. granian's ports are strings, and its `server` is where
    # it listens, which may be no address that a connection has.
    if not (peer and local and peer[1] and local[1]):
        return None
    return functools.partial(
        _connections.shut_down, peer=(peer[0], int(peer[1])), port=int(local[1])
    )


def find_take(scope: Mapping[str, Any], send: object) -> Take | None:
    """Return what writes a piece of an ASGI response at once; None where nothing may.

    Args:
        scope: The request's.
        send: What the response is sent by. Where it is not the server's own there is somebody in
            between, who must not be passed by.
    """
    find: Callable[[object], Take | None] | None
    find = (scope.get("extensions") or {}).get(TAKE_EXTENSION)
    return None if find is None else find(send)


def settings_of(
    feeds: Iterable[Feed], *, server: ServerSettings | None, auth: AuthSettings | None
) -> Settings:
    """Make the settings of a blueprint."""
    named = {feed.name: feed for feed in feeds}
    return Settings(server=server or ServerSettings(), auth=auth, feeds=named)


def problem_of(error: HTTPException) -> Reply:
    """Make a problem document of an error that the framework itself raises, such as a 404."""
    headers = [pair for pair in error.get_headers() if pair[0].lower() != "content-type"]
    return problem(
        kind="about:blank",
        title=error.name,
        status=error.code or 500,
        detail=error.description,
        headers=tuple(headers),
    )


def make_engine(settings: Settings, *, client: httpx.AsyncClient | None = None) -> Engine:
    """Make the engine of an application, which drains when who ends its process says so.

    Whatever its server shows of clients: one that vanishes is given up in time.
    """
    bound_listeners(os.getpid(), seconds=settings.server.send_timeout + SILENCE_MARGIN)
    control = os.environ.get(CONTROL_VARIABLE)
    return Engine(settings, client=client, control=control, ending=find_ending())
