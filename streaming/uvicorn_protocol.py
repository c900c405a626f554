"""uvicorn's protocol, keeping a client that has closed its sending half and goes on reading.

uvicorn takes the end of file for the client's leaving. Here that question is left to who watches
the socket that is offered in the scope (`streaming.engine.client_watch`); where nobody does, it is
as in uvicorn, a second later. After what was asked has been answered the connection is closed. It
must not know what is served.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from streaming.engine.client_watch import SCOPE_SOCKET

CLAIM_TIMEOUT = 1.0
"""Seconds from the end of file in which somebody has to watch the socket, or it is closed: short
answers are whole by then, and all others learn that their client has left."""


class HalfOpenProtocol(HttpToolsProtocol):
    """Speaks HTTP with one client. Over TLS, where an end of file ends both ways, as uvicorn's."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a client on."""
        super().connection_made(transport)
        self._is_half_open = False
        self._offer: dict[str, Any] = {}

    def on_headers_complete(self) -> None:
        """Offer the socket to what answers the request."""
        if self.scheme == "http":
            sock = self.transport.get_extra_info("socket")
            self._offer = {"socket": sock, "is_watched": False}
            extensions: dict[str, Any] = self.scope.setdefault("extensions", {})
            extensions[SCOPE_SOCKET] = self._offer
        super().on_headers_complete()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Say whether to keep the connection: while a request that came whole is answered."""
        cycle = self.cycle
        is_answering = cycle is not None and not (cycle.more_body or cycle.response_complete)
        self._is_half_open = bool(self._offer) and is_answering
        if self._is_half_open:
            self.loop.call_later(CLAIM_TIMEOUT, self._close_unless_watched)
        return self._is_half_open

    def on_response_complete(self) -> None:
        """Close after the last answer: nothing can be asked any more."""
        super().on_response_complete()
        if self._is_half_open and self.cycle.response_complete:
            self.transport.close()

    def _close_unless_watched(self) -> None:
        if not self._offer["is_watched"]:
            self.transport.close()
