"""The short way to a stream: from the server to the HTTP interface, past the framework.

For a process that serves feeds and nothing else. To bring a request to its view takes a framework
half of what a viewer costs in all; here a plain GET of a feed or a run is answered at once, and
whatever looks in the least unusual goes through the framework, whose answer is the same. It must
not stand before an application of somebody's own, whose functions would not see such a request.
"""

import logging
import re
import traceback
from collections.abc import MutableMapping
from typing import Any

from werkzeug.exceptions import InternalServerError

from streaming import adapter
from streaming.asgi import Application, Receive, Send, send_reply
from streaming.core.message import Request, join_fields
from streaming.core.settings import Settings
from streaming.engine.interface import with_cors
from streaming.engine.loop_host import LoopHost

logger = logging.getLogger("fanstream")

_PATH = re.compile(r"/(?:feeds/(?P<feed>[A-Za-z0-9._-]+)|runs/(?P<run>[A-Za-z0-9._-]+))")
_OPERATIONS = {"feed": "read_feed", "run": "read_run"}
_HOST = re.compile(r"(?:[A-Za-z0-9-]{1,60}\.){0,5}[A-Za-z0-9-]{1,60}(?::[0-9]{1,5})?")


class ShortWay:
    """An ASGI middleware that answers requests for streams itself.

    Args:
        app: The application that answers the others.
        host: The engine that both ask.
        settings: Those of the engine.
    """

    def __init__(self, app: Application, *, host: LoopHost, settings: Settings) -> None:
        self._app = app
        self._host = host
        self._settings = settings

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request, or whatever else a server asks for."""
        asked = _read_request(scope) if scope["type"] == "http" else None
        if asked is None:
            await self._app(scope, receive, send)
            return
        try:
            reply = await self._host.answer(*asked)
        except Exception as exc:  # noqa: BLE001 - the outer edge of a request
            # Without the message, which may hold what no log line may show.
            where = "".join(traceback.format_tb(exc.__traceback__))
            logger.error("internal error: %s\n%s", type(exc).__name__, where)
            reply = adapter.problem_of(InternalServerError())
            reply = with_cors(reply, asked[1], settings=self._settings)
        await send_reply(reply, scope, receive, send)


def _read_request(scope: MutableMapping[str, Any]) -> tuple[str, Request] | None:
    """Return what is asked for; None where the framework has to look at it."""
    if scope["method"] != "GET" or scope.get("root_path"):
        return None
    path = _PATH.fullmatch(scope["path"])
    if path is None or path.lastgroup is None:
        return None
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    headers = join_fields(fields)
    if not _HOST.fullmatch(headers.get("host", "")) or "expect" in headers:
        return None
    request = Request(
        method="GET",
        path={path.lastgroup: path[path.lastgroup]},
        query=adapter.read_query(scope["query_string"]),
        headers=adapter.as_sent(headers),
        peer=(scope.get("client") or ("<local>",))[0],  # as Quart says it
    )
    return _OPERATIONS[path.lastgroup], request
