"""How a client can be watched for its leaving: by its socket, where the server gives one.

A WSGI server may give it in a request's environ. An ASGI server says by itself that a client has
left, and mostly takes one that has only closed its sending half for one that left; where it does
not, it has to give the socket.
"""

import socket
import ssl
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from streaming.engine.socket_watch import SocketWatch
from streaming.engine.viewer import Viewer

SOCKETS = ("gunicorn.socket", "werkzeug.socket")
"""The keys under which servers give the client's socket."""

WAITRESS = "waitress.client_disconnected"
"""The key of waitress's function that says whether the client has gone. It is a method of the
connection, which has the socket; the function itself knows nothing while a request is answered, or,
with `--channel-request-lookahead`, takes a client that has closed its sending half for gone."""

SCOPE_SOCKET = "fanstream.socket"
"""The key in an ASGI scope's `extensions` under which a server offers the client's `socket`, and is
told whether it `is_watched`."""


class Watching(Protocol):
    """What notices that a client has gone, until it is closed."""

    def close(self) -> None:
        """End the watch. On the loop."""
        ...


class Watch(Protocol):
    """What makes a `Watching`, on the loop."""

    def __call__(self, *, viewer: Viewer, send_timeout: float) -> Watching:
        """Begin to watch the client of a viewer; see `SocketWatch`."""
        ...


def find_watch(environ: Mapping[str, Any]) -> Watch | None:
    """Return how a WSGI request's client can be watched; None where only a failing write tells."""
    for key in SOCKETS:
        # A TLS socket's bytes are not the client's words: its end cannot be told from outside.
        if (sock := environ.get(key)) is not None and not isinstance(sock, ssl.SSLSocket):
            return partial(SocketWatch, sock.fileno())
    sock = getattr(getattr(environ.get(WAITRESS), "__self__", None), "socket", None)
    return partial(SocketWatch, sock.fileno()) if isinstance(sock, socket.socket) else None


def claim_watch(extensions: dict[str, Any]) -> Watch | None:
    """Return how an ASGI request's client will be watched; None where its server alone tells."""
    if (offer := extensions.get(SCOPE_SOCKET)) is None:
        return None
    offer["is_watched"] = True
    return partial(SocketWatch, offer["socket"].fileno())
