"""A response that is waited for: its head, then its body, piece by piece.

What it is made of is told by `http_incoming`; here is who waits for it, and what becomes of it when
the connection ends, or another's turn has come. The two refer to one another only until then.
"""

import asyncio
from typing import Protocol

from streaming.core.errors_upstream import UpstreamError
from streaming.engine.http_incoming import Incoming

MAX_UNREAD_BYTES = 65536
"""Bytes of a body that are kept unread; beyond them the connection is not read from. What
is read at once, `READ_BUFFER_BYTES` at most, may pass the bound."""


class Carrier(Protocol):
    """The connection by which a response comes."""

    def close(self) -> None:
        """Close it at once; the response is ended."""
        ...

    def read_on(self) -> None:
        """Read from the upstream again, if that was stopped."""
        ...


class HttpResponse(Incoming):
    """See `streaming.engine.transport.Response`."""

    __slots__ = ("_cause", "_connection", "_failure", "_waiter")

    def __init__(self, method: str, connection: Carrier) -> None:
        super().__init__(method)
        # None: the response has ended, and the connection is another's.
        self._connection: Carrier | None = connection
        self._waiter: asyncio.Future[None] | None = None
        # A class and a cause without its traceback: an exception that was raised holds its frames,
        # and these hold this response.
        self._failure: type[UpstreamError] | None = None
        self._cause: BaseException | None = None

    @property
    def is_full(self) -> bool:
        """Whether more than `MAX_UNREAD_BYTES` are unread."""
        return self.unread > MAX_UNREAD_BYTES

    async def wait_head(self) -> None:
        """Wait until the head is whole.

        Raises:
            Disconnected: The connection broke before.
            ProtocolBroken: It is none.
        """
        while not self.status:
            await self._wait()

    async def read(self) -> bytes:
        """See `Response`."""
        while not self.unread:
            if self.is_whole:
                return b""
            await self._wait()
        piece = self.take()
        if self._connection is not None and not self.is_full:
            self._connection.read_on()
        return piece

    async def aclose(self) -> None:
        """See `Response`."""
        if self._connection is not None:
            self._connection.close()

    def wake(self) -> None:
        """Have whoever waits look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self, failure: type[UpstreamError] | None, cause: BaseException | None = None) -> None:
        """Let go of the connection.

        Args:
            failure: What is said once all that came is read; None where the body is whole.
            cause: What it is said of.
        """
        self._connection = None
        self._failure = failure
        self._cause = cause and cause.with_traceback(None)
        self.close()
        self.wake()

    async def _wait(self) -> None:
        if self._failure is not None:
            raise self._failure from self._cause
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
