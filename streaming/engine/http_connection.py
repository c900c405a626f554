"""One connection to an upstream: a request at a time, its response, and what becomes of it then.

RFC 9112 sections 7 to 9. It belongs to an owner, which is told when it is open, when it is free for
another request, and when it is lost. It is free only once it is complete, the request was sent
whole and the response has come whole, with nothing behind it, and HTTP lets both sides go on. Else
it is closed, at once and in no order: nobody listens any more.

No task runs here and no timer. A long request goes out as the other side takes it in, while its
response may be coming already; a response that nobody reads holds the upstream up.
"""

import asyncio
import contextvars
from collections.abc import Hashable
from typing import Protocol, cast

from streaming.core.errors_upstream import Disconnected, ProtocolBroken, UpstreamError
from streaming.engine.http_response import HttpResponse
from streaming.engine.open_sockets import is_readable

MAX_WRITE_BYTES = 65536
"""Bytes of a request that are written at once; the rest of a longer body follows as it is taken."""

READ_BUFFER_BYTES = 65536
"""Bytes that are taken from a connection at once. The loop would take four times as many, and a
hundred upstreams that write as fast as they are read are then as many times more to hold."""


class Owner(Protocol):
    """Whom a connection belongs to.

    Attributes:
        read_buffer: Where bytes are read into, of all its connections: they share a loop, which
            passes on what it has read before it reads more.
    """

    read_buffer: memoryview

    def receive_open(self, connection: "HttpConnection") -> None:
        """Take a new connection over, or close it."""
        ...

    def receive_free(self, connection: "HttpConnection") -> None:
        """Keep a connection that can take another request, or close it."""
        ...

    def receive_closing(self, connection: "HttpConnection") -> None:
        """Give a connection to nobody any more; may be told twice."""
        ...

    def receive_lost(self, connection: "HttpConnection") -> None:
        """Forget a connection: it is closed."""
        ...


class HttpConnection(asyncio.BufferedProtocol):
    """A connection, made by a loop's `create_connection`.

    Args:
        owner: Told of its life.
        way: What its requests have in common, and those of no other: origin, proxy, TLS.

    Attributes:
        way: As given.
        transport: None before it is made and after it is lost.
    """

    def __init__(self, owner: Owner, way: Hashable) -> None:
        self.way = way
        self.transport: asyncio.Transport | None = None
        self._owner = owner
        self._response: HttpResponse | None = None
        self._unsent: memoryview | None = None
        self._may_write = True
        self._is_held = False
        self._is_closed = False
        self._is_complete = False
        # What came before the first request; on a connection that had one it would close it.
        self._greeting: bytes | None = b""

    @property
    def has_greeted(self) -> bool:
        """Whether something came before it was asked for."""
        return bool(self._greeting)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed, or is lost."""
        return self._is_closed

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come, nor the end, since the loop looked last."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        return not is_readable(transport.get_extra_info("socket").fileno())

    def complete(self) -> None:
        """Be free after what is asked from now on; before, only a tunnel is asked for, once."""
        self._is_complete = True

    async def exchange(self, method: str, head: bytes, body: bytes | None) -> HttpResponse:
        """Send a request; return its response as soon as the head is in.

        The connection is closed where that fails or is cancelled. Only one exchange at a time.

        Raises:
            Disconnected: It broke before the head was whole.
            ProtocolBroken: What came is no response.
        """
        if self._is_closed or self.transport is None:
            raise Disconnected
        response = self._response = HttpResponse(method, self)
        self._send(self.transport, head, body)
        greeting, self._greeting = self._greeting, None
        if greeting:
            response.has_more = True  # whatever says so much is not asked again
            self.read_on()
            self._receive(greeting)
        try:
            await response.wait_head()
        except BaseException:
            await response.aclose()
            raise
        return response

    def close(self) -> None:
        """Close it at once, whatever is on its way."""
        self._end_response(Disconnected)
        self._is_closed = True
        self._unsent = None
        self._owner.receive_closing(self)
        if self.transport is not None:
            self.transport.abort()

    def read_on(self) -> None:
        """Read from the upstream again, if that was stopped."""
        if self._is_held and self.transport is not None:
            self._is_held = False
            # In an empty context: asyncio keeps that of whoever had it read on.
            contextvars.Context().run(self.transport.resume_reading)

    def replace_transport(self, transport: asyncio.Transport) -> None:
        """Go on over another transport, such as TLS over the first, as on a new connection."""
        self.transport = transport
        self._greeting = b""

    # ------------------------------------------------------------- called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless this was given up meanwhile."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        if self._is_closed:
            self.transport.abort()
        else:
            self._owner.receive_open(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where to read into."""
        return self._owner.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take in what the upstream says."""
        self._receive(bytes(self._owner.read_buffer[:nbytes]))

    def eof_received(self) -> None:
        """See the upstream close its side in order."""
        if self._response is not None and self._response.finish():
            self._end_response(None)
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """See the end, however it came about."""
        self._end_response(Disconnected, exc)
        self.close()
        self.transport = None
        self._owner.receive_lost(self)

    def pause_writing(self) -> None:
        """Write no more for now."""
        self._may_write = False

    def resume_writing(self) -> None:
        """Write on."""
        self._may_write = True
        if self._unsent is not None and self.transport is not None:
            self._send_on(self.transport, self._unsent)

    # --------------------------------------------------------------------------------

    def _send(self, transport: asyncio.Transport, head: bytes, body: bytes | None) -> None:
        if not body:
            transport.write(head)
        elif len(body) <= MAX_WRITE_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)
            self._send_on(transport, memoryview(body))

    def _send_on(self, transport: asyncio.Transport, body: memoryview) -> None:
        while body and self._may_write:
            transport.write(body[:MAX_WRITE_BYTES])
            body = body[MAX_WRITE_BYTES:]
        self._unsent = body or None

    def _receive(self, data: bytes) -> None:
        response = self._response
        if response is None:
            self._receive_unasked(data)
            return
        try:
            response.feed(data)
        except ProtocolBroken as exc:
            self._end_response(ProtocolBroken, exc.__cause__)
            self.close()
            return
        if response.is_whole:
            self._end_whole(response)
        elif response.status:
            response.wake()
            if response.is_full:
                self._hold()

    def _receive_unasked(self, data: bytes) -> None:
        """Take what comes at once for the first answer, such as that of a server which is full.

        At any other time it is nobody's (RFC 9112 section 9.2).
        """
        if self._greeting is None:
            self.close()
        else:
            self._greeting += data
            self._hold()

    def _hold(self) -> None:
        if not self._is_held and self.transport is not None:
            self._is_held = True
            self.transport.pause_reading()

    def _end_whole(self, response: HttpResponse) -> None:
        self._response = None
        response.end(None)
        if response.opens_tunnel and not self._is_complete:
            return
        if (
            self._is_complete
            and not response.opens_tunnel
            and response.keeps_alive
            and not response.has_more
            and self._unsent is None
            and self.transport is not None
            and not self.transport.get_write_buffer_size()
        ):
            self.read_on()
            self._owner.receive_free(self)
        else:
            self.close()

    def _end_response(
        self, failure: type[UpstreamError] | None, cause: BaseException | None = None
    ) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.end(failure, cause)
