"""Quart, with a bound or an answer where a request of any bytes finds it without.

It knows nothing of feeds. What Quart lacks, as far as requests go: a body is taken in whole for as
long as its answer goes on, be it read or not; a `Host` or target that cannot be is met before any
handler of errors stands. CONTRACT "HTTP interface".
"""

from typing import Any

from quart import Quart, Request, Response, Websocket
from quart.wrappers import BaseRequestWebsocket
from werkzeug.exceptions import BadHost
from werkzeug.wrappers import Response as WerkzeugResponse

from streaming import adapter


class _Request(Request):
    """Keeps no byte of a body that nobody reads: a stream may be open for an hour beside it."""

    def __init__(
        self, method: str, *parts: Any, max_content_length: int | None = None, **options: Any
    ) -> None:
        bound = max_content_length if method == "POST" else 0
        super().__init__(method, *parts, max_content_length=bound, **options)


class Application(Quart):
    """A Quart application that answers whatever it is sent."""

    request_class = _Request

    async def asgi_app(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer what is asked by a whole URL too, which some servers pass on as the path.

        Quart takes it apart with a parser that refuses some of them, and has no answer then.
        """
        path = scope.get("path", "/")
        if not path.startswith("/"):
            scope = {**scope, "path": _path_of(path)}
        await super().asgi_app(scope, receive, send)

    async def handle_request(self, request: Request) -> Response | WerkzeugResponse:
        """Answer a request; one whose `Host` cannot be has no context for `errorhandler`."""
        try:
            return await super().handle_request(request)
        except BadHost as error:
            return _refuse(request, error)

    async def handle_websocket(self, websocket: Websocket) -> Response | WerkzeugResponse | None:
        """Answer who asks for a WebSocket, likewise."""
        try:
            return await super().handle_websocket(websocket)
        except BadHost as error:
            return _refuse(websocket, error)


def _path_of(target: str) -> str:
    """Return the path of a target that is no path: a URL, or what is none (RFC 9112, 3.2.2)."""
    return "/" + target.partition("://")[2].partition("/")[2]


def _refuse(asked: BaseRequestWebsocket, error: BadHost) -> Response:
    reply = adapter.problem_of(error)
    headers, body = adapter.write_headers(reply, asked)
    return Response(body, status=reply.status, headers=dict(headers))
