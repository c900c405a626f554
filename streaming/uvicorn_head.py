"""uvicorn's protocol with bounds on what a client may keep it waiting with.

httptools lets the head of a request grow for ever, and uvicorn waits for it for as long; what a
client does not take it holds until the client has gone. `streaming.servers` has uvicorn use it
where httptools is installed; without it uvicorn parses by h11, which bounds the head's length.
"""

import asyncio
import os
from typing import Any

from streaming.adapter import ABORT_EXTENSION
from streaming.engine.listeners import bound_listeners
from streaming.uvicorn_protocol import HalfOpenProtocol

MAX_HEAD_BYTES = 65536
"""Bytes of a request's head that are taken before the rest is waited for; beyond, it is 431. And
bytes of what frames a body, between two pieces of it or after it; beyond, the connection ends."""

HEAD_TIMEOUT = 10.0
"""Seconds from a connection's beginning, or the end of an answer, to the end of the next head; then
it is closed. Between two requests uvicorn's own 5 s are over before."""

UNTAKEN_TIMEOUT = 30.0
"""Seconds for which a client may take nothing of what waits for it; then the kernel breaks off.
Once there is an engine (`streaming.adapter.make_engine`) it is `send_timeout` and `SILENCE_MARGIN`.
"""

_TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\n"
    b"connection: close\r\n"
    b"\r\n"
)


class BoundedHeadProtocol(HalfOpenProtocol):
    """Speaks HTTP with one client."""

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self._is_in_head = True
        self._bytes_beside_bodies = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a client on, and wait for its first head."""
        super().connection_made(transport)
        # By what listens, once: an option of each connection is a system call for each.
        bound_listeners(os.getpid(), seconds=UNTAKEN_TIMEOUT)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the client go."""
        self._cancel_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what the client sends; a head or trailers without end are refused."""
        self._bytes_beside_bodies += len(data)
        super().data_received(data)
        if self._bytes_beside_bodies > MAX_HEAD_BYTES and not self.transport.is_closing():
            is_answering = self.cycle is not None and not self.cycle.response_complete
            if self._is_in_head and not is_answering:
                self.transport.write(_TOO_LONG)
            self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in a field of a head; those of trailers are nothing to anybody."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Note that the head is whole, and let the application break the connection off."""
        self._is_in_head = False
        self._bytes_beside_bodies = 0
        self._cancel_head_timer()
        extensions: dict[str, Any] = self.scope.setdefault("extensions", {})
        extensions[ABORT_EXTENSION] = self.transport.abort
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take in a piece of a body, which has bounds of its own."""
        self._bytes_beside_bodies = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that what comes next is another head; as much of it as is here already is little."""
        self._is_in_head = True
        self._bytes_beside_bodies = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the rest of the request, if there is any, and for the next head."""
        is_next_here = bool(self.pipeline)
        super().on_response_complete()
        if not is_next_here and not self.transport.is_closing():
            self._wait_for_head()

    def _wait_for_head(self) -> None:
        self._cancel_head_timer()
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self.transport.close)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
