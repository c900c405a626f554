"""How a WSGI server lets one notice that a client has gone, found in a request's environ."""

import ssl
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from streaming.engine.probe_watch import ProbeWatch
from streaming.engine.socket_watch import SocketWatch
from streaming.engine.viewer import Viewer

SOCKETS = ("gunicorn.socket", "werkzeug.socket")
"""The keys under which servers give the client's socket."""


class Watching(Protocol):
    """What notices that a client has gone, until it is closed."""

    def close(self) -> None:
        """End the watch. On the loop."""
        ...


class Watch(Protocol):
    """What makes a `Watching`, on the loop."""

    def __call__(self, *, viewer: Viewer) -> Watching:
        """Begin to watch the client of a viewer."""
        ...


def find_watch(environ: Mapping[str, Any]) -> Watch | None:
    """Return how this request's client can be watched; None where only a failing write tells."""
    for key in SOCKETS:
        # A TLS socket's bytes are not the client's words: its end cannot be told from outside.
        if (sock := environ.get(key)) is not None and not isinstance(sock, ssl.SSLSocket):
            return partial(SocketWatch, sock.fileno())
    if (has_gone := environ.get("waitress.client_disconnected")) is not None:
        return partial(ProbeWatch, has_gone)
    return None
