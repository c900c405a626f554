"""uvicorn's protocol, keeping a client that has closed its sending half and goes on reading.

uvicorn takes the end of file for the client's leaving. Here that question is left to who watches
the socket that is offered in the scope (`streaming.engine.client_watch`); where nobody does, it is
as in uvicorn, a second later. After what was asked has been answered the connection is closed. It
must not know what is served.
"""

import asyncio
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from streaming.adapter import TAKE_EXTENSION
from streaming.engine.client_watch import SCOPE_SOCKET, Blindness, SocketOffer
from streaming.engine.driver import Take

CLAIM_TIMEOUT = 1.0
"""Seconds from the end of file in which somebody has to watch the socket, or it is closed: short
answers are whole by then, and all others learn that their client has left."""


class HalfOpenProtocol(HttpToolsProtocol):
    """Speaks HTTP with one client. Over TLS, where an end of file ends both ways, as uvicorn's."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a client on."""
        super().connection_made(transport)
        self._is_half_open = False
        self._claim_timer: asyncio.TimerHandle | None = None
        self.first_writes: _FirstWrites | None = None
        """Those that wait for the end of this turn of the loop."""
        sock = transport.get_extra_info("socket")
        # Over TLS its bytes are not the client's words.
        self._offer = SocketOffer(sock) if self.scheme == "http" else None

    def on_headers_complete(self) -> None:
        """Offer the socket, and what needs no coroutine, to what answers the request."""
        extensions: dict[str, Any] = self.scope.setdefault("extensions", {})
        extensions[TAKE_EXTENSION] = self.find_take
        if self._offer is not None:
            extensions[SCOPE_SOCKET] = self._offer
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # there is none of a request for a WebSocket
            self.cycle.transport = cast(asyncio.Transport, _FirstWrites(self.cycle, self))
        if self._offer is not None and self.pipeline:
            # uvicorn may read no further while the request before is answered.
            self._offer.tell(Blindness.SENT_AHEAD)

    def find_take(self, send: object) -> Take | None:
        """Return what writes at once where that `send` would; None where it is not uvicorn's."""
        cycle = getattr(send, "__self__", None)
        return partial(self._take, cycle) if isinstance(cycle, RequestResponseCycle) else None

    def _take(self, cycle: RequestResponseCycle, piece: bytes) -> bool:
        """Write a piece of a body; False where that has to wait, or to end."""
        if not piece or self.flow.write_paused or not cycle.chunked_encoding:
            return False
        if cycle.disconnected or cycle.response_complete:
            return False
        cycle.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the client go, and what was offered: it holds the connection, which holds it."""
        super().connection_lost(exc)
        if self._claim_timer is not None:
            self._claim_timer.cancel()
        if self._offer is not None:
            # uvicorn tells only who answers the latest of several requests.
            self._offer.tell(Blindness.LOST)
        if self.cycle is not None:
            self.cycle.scope.pop("extensions", None)
            self.cycle.transport = self.transport

    def eof_received(self) -> bool:  # type: ignore[override]
        """Say whether to keep the connection: while a request that came whole is answered."""
        cycle = self.cycle
        is_answering = cycle is not None and not (cycle.more_body or cycle.response_complete)
        self._is_half_open = self._offer is not None and is_answering
        if self._offer is not None and self._is_half_open:
            self._offer.tell(Blindness.AT_END)
            self._claim_timer = self.loop.call_later(CLAIM_TIMEOUT, self._close_unless_watched)
        return self._is_half_open

    def on_response_complete(self) -> None:
        """Close after the last answer: nothing can be asked any more."""
        if self.first_writes is not None:
            # A client that closes its sending half behind its request ends the connection now.
            self.first_writes.flush()
        super().on_response_complete()
        if self._offer is not None:
            ahead = Blindness.SENT_AHEAD if self.pipeline else None
            self._offer.tell(Blindness.AT_END if self._is_half_open else ahead)
        if self._is_half_open and self.cycle.response_complete:
            self.cycle.transport.close()

    def _close_unless_watched(self) -> None:
        if self._offer is None or not self._offer.is_claimed:
            self.transport.close()


class _FirstWrites:
    """A response's transport until the turn of the loop after its first write.

    What is written in one turn, the head and what there is of the body, is one write: each is a
    system call, and wakes the client. A response that is whole waits no longer.

    Args:
        cycle: The response, whose transport it takes the place of.
        protocol: The connection's, of which one response is written at a time.
    """

    def __init__(self, cycle: RequestResponseCycle, protocol: HalfOpenProtocol) -> None:
        self._transport = cycle.transport
        self._cycle = cycle
        self._protocol = protocol
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._held:
            self._protocol.first_writes = self
            self._protocol.loop.call_soon(self.flush)
        self._held.append(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def flush(self) -> None:
        held, self._held = self._held, []
        self._cycle.transport = self._transport
        if self._protocol.first_writes is self:
            self._protocol.first_writes = None
        if held and not self._transport.is_closing():
            self._transport.write(b"".join(held))
