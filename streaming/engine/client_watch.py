"""How a client can be watched for its leaving: by its socket, where the server gives one.

A WSGI server may give it in a request's environ. An ASGI server says by itself that a client has
left, and mostly takes one that has only closed its sending half for one that left; where it does
not, it has to give the socket.
"""

import errno
import socket
import ssl
from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import partial
from typing import Any, Protocol

from streaming.engine.socket_watch import ClientLooks, SocketWatch
from streaming.engine.viewer import Viewer

SOCKETS = ("gunicorn.socket", "werkzeug.socket")
"""The keys under which servers give the client's socket."""

WAITRESS = "waitress.client_disconnected"
"""The key of waitress's function that says whether the client has gone. It is a method of the
connection, which has the socket; the function itself knows nothing while a request is answered, or,
with `--channel-request-lookahead`, takes a client that has closed its sending half for gone."""

SCOPE_SOCKET = "fanstream.socket"
"""The key in an ASGI scope's `extensions` under which a server puts a `SocketOffer`."""


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


class SocketOffer:
    """A connection's socket, for whoever wants to know what its server does not say of the client.

    The server reads from the socket, and so sees the client leave. What it does not see is what the
    end of the client's words means, nor what comes behind a request that was sent ahead.

    Args:
        sock: The server's socket.
    """

    __slots__ = ("_blindness", "_receive_blindness", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._blindness: Blindness | None = None
        self._receive_blindness: Callable[[Blindness], None] | None = None

    @property
    def is_claimed(self) -> bool:
        """Say whether somebody watches the client, or will."""
        return self._receive_blindness is not None

    def claim(self, receive_blindness: Callable[["Blindness"], None]) -> None:
        """Be told as soon as the server sees nothing any more, in place of who was told before."""
        self._receive_blindness = receive_blindness
        if self._blindness is not None:
            receive_blindness(self._blindness)

    def release(self, receive_blindness: Callable[["Blindness"], None]) -> None:
        """Take back `claim`; harmless where somebody else has claimed since."""
        if self._receive_blindness == receive_blindness:
            self._receive_blindness = None

    def tell(self, blindness: "Blindness | None") -> None:
        """Say why the server sees nothing of the client from now on; None: it does again."""
        self._blindness = blindness
        if self._receive_blindness is not None and blindness is not None:
            self._receive_blindness(blindness)


class Blindness(Enum):
    """Why a server sees nothing of a client."""

    AT_END = auto()
    """The client has closed its sending half, or gone."""
    LOST = auto()
    """The connection has ended."""
    SENT_AHEAD = auto()
    """The client has sent another request, which the server leaves unread."""


class OfferedWatch:
    """Watches a client by the socket that its server offers, as soon as that is needed.

    Its silence is bounded with that of all connections (`streaming.engine.listeners`).

    Args:
        offer: What the server offers.
        viewer: See `SocketWatch`.
        send_timeout: As for every `Watch`; of no use here.

    Raises:
        OSError: The server has closed the connection.
    """

    def __init__(self, offer: SocketOffer, *, viewer: Viewer, send_timeout: float) -> None:
        self._offer = offer
        self._viewer = viewer
        if offer.sock.fileno() < 0:
            raise OSError(errno.EBADF, "the connection is closed")
        self._looks = ClientLooks(offer.sock, viewer=viewer)
        self._has_begun = False
        offer.claim(self._receive_blindness)

    def close(self) -> None:
        """End the watch."""
        self._offer.release(self._receive_blindness)
        self._looks.close()

    def _receive_blindness(self, blindness: Blindness) -> None:
        if blindness is Blindness.LOST:
            self._viewer.receive_gone()
        elif not self._has_begun:
            self._has_begun = True
            self._looks.begin(is_at_end=blindness is Blindness.AT_END)


def claim_watch(extensions: Mapping[str, Any]) -> Watch | None:
    """Return how an ASGI request's client will be watched; None where its server alone tells."""
    offer: SocketOffer | None = extensions.get(SCOPE_SOCKET)
    return None if offer is None else partial(OfferedWatch, offer)
