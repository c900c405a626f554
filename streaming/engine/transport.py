"""Transports: what carries one call to an upstream and brings its response back.

CONTRACT "Upstream calls". A transport sends one request exactly as it stands and gives the response
as it comes: it follows no redirect, keeps no cookie, tries nothing again, undoes no content coding,
and limits neither connections nor times but that of connecting. All of these are decided above it.
"""

from typing import Protocol

from streaming.core.call import Call, ConnectionOptions

MAX_READ_BYTES = 65536
"""Bytes that one `Response.read` gives at most; what is longer comes in several."""


class Response(Protocol):
    """The response of one call, from its head on.

    Whoever was given it closes it, on cancellation too. One task uses it at a time.

    Attributes:
        status: Such as 200; of any class, as redirects are not followed here.
    """

    status: int

    def header(self, name: str) -> str | None:
        """Return a field's first value; None where there is none.

        Bytes that are not UTF-8 come as U+FFFD, so that the value can be written as JSON.

        Args:
            name: In any case.
        """
        ...

    async def read(self) -> bytes:
        """Return the next piece of the body as soon as there is one; `b""` at its end.

        Chunked transfer coding is undone, content coding is not. What came before a break is given
        before the break is raised. The upstream is slowed down while nobody reads.

        Raises:
            Disconnected: The connection broke before the body was whole.
            ProtocolBroken: The body is not framed as HTTP says.
        """
        ...

    async def aclose(self) -> None:
        """Give the connection back, or close it where the body was not read to its end.

        Never reads on, raises nothing, and may be called again.
        """
        ...


class Transport(Protocol):
    """What carries calls; one for each process, shared by all of them."""

    def check(self, options: ConnectionOptions) -> None:
        """Refuse options under which no call could be made, before there is one.

        Raises:
            ConfigError: Such as a `ca_file` that cannot be read.
        """
        ...

    async def open(self, call: Call, *, with_credentials: bool = True) -> Response:
        """Send a request; return when the response's head is in.

        When it is cancelled the connection is closed at once, and never used again.

        Args:
            call: What is sent.
            with_credentials: False after a redirect to another origin: then nothing is added that
                the transport knows of its own, such as a client's authentication.

        Raises:
            ConnectFailed: DNS, TCP, TLS or a proxy would not have it.
            TimedOut: `call.connect_timeout` ran out (`connection`).
            ProtocolBroken: What came is not an HTTP response, or its head has no bound.
            Disconnected: The connection broke before the head was whole.
            ConfigError: See `check`.
            ValueError: The call is one that `build_call` and `redirect` never give: a line break,
                NUL or half a surrogate pair in a field, a space in the URL.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections that this transport has opened, in use or not."""
        ...
