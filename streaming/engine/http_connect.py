"""The making of connections: DNS, TCP, a proxy's tunnel, TLS; in that order, each over the last.

RFC 8305 for several addresses, RFC 9110 section 9.3.6 for tunnels. Whatever fails or is cancelled
leaves nothing open.
"""

import asyncio
import contextvars
import ssl
from dataclasses import dataclass, field

from streaming.core.errors_upstream import ConnectFailed, TimedOut, UpstreamError
from streaming.core.http_request import encode_connect
from streaming.core.url import Origin
from streaming.engine.http_connection import HttpConnection, Owner
from streaming.engine.http_dns import Addresses
from streaming.engine.http_proxy import Proxy
from streaming.engine.http_race import connect_first

# UnicodeError: a host's name that IDNA cannot encode. UpstreamError: what a proxy answered.
_FAILURES = (OSError, UnicodeError, UpstreamError)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Way:
    """What calls have in common that may go over the same connections. Equal to itself alone.

    Args:
        origin: Whom they call.
        host: What they say of it in Host.
        proxy: Whom they go through; None for nobody.
        tls: What is trusted, of the origin and of a proxy that is called by https; None where both
            are called without TLS.
    """

    origin: Origin
    host: str
    proxy: Proxy | None = None
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def has_tunnel(self) -> bool:
        """Whether the proxy passes on bytes that it cannot read."""
        return self.proxy is not None and self.origin.scheme == "https"


class Connector:
    """Makes connections. Used on one loop.

    Args:
        owner: Whom they belong to.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._addresses = Addresses()
        self._making: set[asyncio.Task[HttpConnection]] = set()

    async def connect(self, way: Way, *, timeout: float) -> HttpConnection:
        """Make a connection over which requests can be sent.

        Args:
            way: Where it leads.
            timeout: Seconds for all of it.

        Raises:
            ConnectFailed: DNS, TCP, TLS or a proxy would not have it.
            TimedOut: The time ran out.
        """
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                return await self._make(way, timeout)
        except _FAILURES as exc:
            # The kernel's own TimeoutError has the same class.
            if limit.expired():
                # Its frames hold the limit, which holds the task as this frame does.
                raise TimedOut("connection", timeout) from exc.with_traceback(None)
            raise ConnectFailed from exc
        finally:
            del limit  # it holds the task, whose exception may hold this frame

    async def aclose(self) -> None:
        """Make no connection any more of those that are being made, and look for no address."""
        making = list(self._making)
        for each in making:
            each.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        await self._addresses.aclose()

    async def _make(self, way: Way, timeout: float) -> HttpConnection:
        """Connect in an empty context: a connection must not hold whoever happens to need it first.

        Both loops keep the context in which a transport is made.
        """
        making = asyncio.get_running_loop().create_task(
            self._connect(way, timeout), context=contextvars.Context()
        )
        self._making.add(making)
        try:
            return await making
        except asyncio.CancelledError:
            if making.done() and not making.cancelled() and making.exception() is None:
                making.result().close()  # made just as nobody wanted it any more
            if _is_being_cancelled():
                raise
            raise ConnectFailed from None  # by `aclose`
        finally:
            self._making.discard(making)
            del making  # an exception holds this frame, and must not hold itself

    async def _connect(self, way: Way, timeout: float) -> HttpConnection:
        there = way.proxy.origin if way.proxy else way.origin
        addresses = await self._addresses.find(there.host)
        connection = await connect_first(
            addresses, lambda address: self._connect_tcp(way, address, there.port)
        )
        try:
            if there.scheme == "https":
                await _start_tls(connection, there, way.tls, timeout)
            if way.proxy and way.has_tunnel:
                await _open_tunnel(connection, way.origin, way.proxy)
                await _start_tls(connection, way.origin, way.tls, timeout)
        except BaseException:
            self._give_up(connection)
            raise
        connection.complete()
        return connection

    async def _connect_tcp(self, way: Way, address: str, port: int) -> HttpConnection:
        connection = HttpConnection(self._owner, way)
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: connection, address, port)
        except BaseException:
            self._give_up(connection)
            raise
        return connection

    def _give_up(self, connection: HttpConnection) -> None:
        """Close a connection, and forget it.

        Where TLS fails, and in uvloop where a call is cancelled just as the connection is made, no
        loop says that it is lost.
        """
        connection.close()
        self._owner.receive_lost(connection)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _open_tunnel(connection: HttpConnection, origin: Origin, proxy: Proxy) -> None:
    request = encode_connect(origin, more=proxy.fields)
    response = await connection.exchange("CONNECT", request, None)
    if not response.opens_tunnel:
        raise ConnectFailed


async def _start_tls(
    connection: HttpConnection, origin: Origin, tls: ssl.SSLContext | None, timeout: float
) -> None:
    """Speak TLS over what a connection is by now."""
    if connection.transport is None or connection.is_closed:
        raise ConnectFailed
    if connection.has_greeted or tls is None:
        raise ConnectFailed
    transport = await asyncio.get_running_loop().start_tls(
        connection.transport,
        connection,
        tls,
        server_hostname=_certified_name(origin),
        # By default asyncio gives up after 60 s; here `connect` does.
        ssl_handshake_timeout=timeout,
    )
    # uvloop's may return although the transport below was aborted.
    if transport is None or connection.is_closed:
        raise ConnectFailed
    connection.replace_transport(transport)


def _certified_name(origin: Origin) -> str:
    """Return the name for which a certificate has to be: without brackets and a root's dot."""
    return origin.host.strip("[]").rstrip(".")
