"""What the two adapters share: Flask's and Quart's requests and responses are both Werkzeug's.

It reads a request whole and writes a reply's headers; it decides nothing.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl

import httpx
from werkzeug.exceptions import HTTPException
from werkzeug.sansio.request import Request as WerkzeugRequest

from streaming.core.feed import Feed
from streaming.core.message import Headers, Reply, Request, problem
from streaming.core.routes import Route
from streaming.core.settings import ServerSettings, Settings
from streaming.engine.control import CONTROL_VARIABLE
from streaming.engine.engine import Engine

EXTENSION = "fanstream"
"""The key in `app.extensions` under which an application's engine is found."""

MAX_SILENCE_WITHOUT_WATCH = 1.0
"""Seconds: where a client cannot be watched, only a failing write tells that it has gone."""

PAGE_HEADERS = (
    ("Content-Security-Policy", "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
    ("Cache-Control", "no-cache"),
)


def read_request(
    request: WerkzeugRequest,
    *,
    route: Route | None = None,
    path: Mapping[str, str] | None = None,
    body: bytes = b"",
    max_silence: float | None = None,
) -> Request:
    """Read what the interface needs to know of a framework's request."""
    headers: dict[str, str] = {}
    for name, value in request.headers:
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    if "last-event-id" in headers:
        # A browser sends it as UTF-8, and Werkzeug reads header fields as Latin-1.
        as_sent = headers["last-event-id"].encode("latin-1", "replace")
        headers["last-event-id"] = as_sent.decode("utf-8", "replace")
    return Request(
        method=request.method,
        rule=route.rule if route else "",
        path=path or {},
        query=_query(request.query_string),
        headers=headers,
        body=body,
        peer=request.remote_addr or "",
        max_silence=max_silence,
    )


def _query(query_string: bytes) -> tuple[tuple[str, str], ...]:
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


def static_folder() -> Path:
    """Return where the page's files are: in the package, or in a checkout beside it."""
    package = Path(__file__).parent
    installed = package / "static"
    return installed if installed.is_dir() else package.parent / "static"


def settings_of(feeds: Iterable[Feed], *, server: ServerSettings | None) -> Settings:
    """Make the settings of a blueprint."""
    named = {feed.name: feed for feed in feeds}
    return Settings(server=server or ServerSettings(), feeds=named)


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
    """Make the engine of an application, which drains when a parent says so."""
    return Engine(settings, client=client, control=os.environ.get(CONTROL_VARIABLE))
