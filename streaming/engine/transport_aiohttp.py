"""The default transport: aiohttp's client session, driven directly.

See `transport` for what is asked of it, and docs/decisions/0001-upstream-transport.md for why it is
aiohttp. What aiohttp would do by itself is switched off here (cookies, redirects, decompression,
header fields of its own, netrc, a second try), and its exceptions become ours here, by class.

Nothing is sent twice: aiohttp would try a GET, HEAD, PUT or DELETE again when the connection breaks
before the head, and no `attempt` event would say so. A kept connection that the upstream closes
just as it is used again therefore gives Disconnected; the caller knows what may be repeated.

What is cancelled is closed at once, but for one case: a request's body that the upstream has not
taken, and that is too long for the kernel's buffer, is still sent when it takes it.
"""

import asyncio
import io
import math
import ssl
import urllib.request

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientHandlerType,
    ClientHttpProxyError,
    ClientRequest,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    InvalidURL,
    ServerDisconnectedError,
    TCPConnector,
)
from aiohttp.http import HttpProcessingError
from yarl import URL

from streaming.core.call import Call, ConnectionOptions
from streaming.core.errors import ConfigError
from streaming.core.errors_upstream import (
    ConnectFailed,
    Disconnected,
    ProtocolBroken,
    TimedOut,
    UpstreamError,
)
from streaming.core.url import parse_url
from streaming.engine.transport import MAX_READ_BYTES

KEEP_ALIVE = 4.0
"""Seconds for which an idle connection is kept; then it is closed.

Less than the 5 s after which uvicorn and Node close theirs: the two closing at once is how a call
meets a connection that is about to go.
"""

MAX_HEAD_LINE_BYTES = 16384
"""Bytes of the status line, or of one field, of a response; a longer one is ProtocolBroken."""

_ADDED_BY_AIOHTTP = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
# UnicodeError: a host's name that IDNA cannot encode.
_FAILURES = (ClientError, HttpProcessingError, OSError, UnicodeError)
_MAX_UNSPLIT_BYTES = 1024 * 1024  # beyond it aiohttp warns that one write blocks the loop


class AiohttpTransport:
    """Carries calls by aiohttp. It belongs to the event loop that opens its first call."""

    def __init__(self) -> None:
        self._session: ClientSession | None = None
        self._contexts: dict[str, ssl.SSLContext] = {}

    def check(self, options: ConnectionOptions) -> None:
        """See `Transport`."""
        self._tls(options)
        for scheme in ("http", "https") if options.trust_env and not options.proxy else ():
            _environment_proxy(scheme)

    async def open(self, call: Call, *, with_credentials: bool = True) -> "AiohttpResponse":
        """See `Transport`. It adds no credentials, so `with_credentials` changes nothing."""
        url = URL(call.url, encoded=True)
        try:
            response = await self._running_session().request(
                call.method,
                url,
                headers=call.headers,
                data=_payload(call.body),
                allow_redirects=False,
                proxy=_proxy(url, call.options),
                ssl=self._tls(call.options),
                # It covers DNS, TCP, TLS and a proxy's CONNECT, as the pool makes nobody wait. By
                # default 5.1 s would be rounded up to the next whole second of the loop's clock.
                timeout=ClientTimeout(connect=call.connect_timeout, ceil_threshold=math.inf),
            )
        except ConnectionTimeoutError as exc:
            raise TimedOut("connection", call.connect_timeout) from exc
        return AiohttpResponse(response)

    async def aclose(self) -> None:
        """See `Transport`."""
        if self._session is not None:
            await self._session.close()

    def _running_session(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                connector=TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE),
                cookie_jar=DummyCookieJar(),
                skip_auto_headers=_ADDED_BY_AIOHTTP,
                auto_decompress=False,
                read_bufsize=MAX_READ_BYTES,
                max_line_size=MAX_HEAD_LINE_BYTES,
                max_field_size=MAX_HEAD_LINE_BYTES,
                middlewares=(_try_once,),
            )
        return self._session

    def _tls(self, options: ConnectionOptions) -> ssl.SSLContext | bool:
        """Return what aiohttp is told of certificates: True and False are its own two contexts."""
        if not (options.verify and options.ca_file):
            return options.verify
        if options.ca_file not in self._contexts:
            self._contexts[options.ca_file] = _context(options.ca_file)
        return self._contexts[options.ca_file]


class AiohttpResponse:
    """See `Response`."""

    def __init__(self, response: ClientResponse) -> None:
        self.status = response.status
        self._response = response
        self._content = response.content
        self._reset: BaseException | None = None
        connection = response.connection
        # None: all of the body is here, and the connection has been given back.
        self._protocol = None if connection is None else connection.protocol
        self._closed = None if self._protocol is None else self._protocol.closed
        if self._closed is not None:
            self._watch_connection(self._closed)

    def header(self, name: str) -> str | None:
        """See `Response`."""
        value = self._response.headers.get(name)
        if value is None or value.isascii():
            return value
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    async def read(self) -> bytes:
        """See `Response`."""
        try:
            piece = await self._content.read(MAX_READ_BYTES)
        except _FAILURES as exc:
            return self._read_rest(exc)
        if not piece and self._reset is not None:
            raise Disconnected from self._reset
        return piece

    async def aclose(self) -> None:
        """See `Response`. A connection whose body has come whole went back to the pool by then."""
        self._response.close()

    def _read_rest(self, failure: BaseException) -> bytes:
        """Give what came before the connection failed, which aiohttp would drop, then raise."""
        content = self._content
        content.set_exception(None)  # type: ignore[arg-type]
        piece = content.read_nowait(MAX_READ_BYTES)
        content.set_exception(failure)
        if not piece:
            raise upstream_error(failure) from failure
        return piece

    def _watch_connection(self, closed: asyncio.Future[None]) -> None:
        """See that a body learns of the end of its connection.

        aiohttp 3.14 leaves out two cases: a chunk that is malformed (the reader would wait forever)
        and a reset while the body goes on until the connection's end (it would seem whole).
        """
        # A connection has many responses, and one of these is enough for all.
        closed.remove_done_callback(_take_exception)
        closed.add_done_callback(_take_exception)
        closed.add_done_callback(self._receive_close)
        self._content.on_eof(self._unwatch_connection)

    def _unwatch_connection(self) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._receive_close)

    def _receive_close(self, closed: asyncio.Future[None]) -> None:
        if self._content.is_eof():
            self._reset = closed.exception()
        elif self._content.exception() is None and self._protocol is not None:
            self._content.set_exception(self._protocol.exception() or ServerDisconnectedError())


def upstream_error(failure: BaseException) -> UpstreamError:
    """Say what an exception of aiohttp's means, by its class.

    Not asked about ConnectionTimeoutError: only the caller knows how long was waited.
    """
    match failure:
        case ClientConnectorError() | ClientHttpProxyError() | InvalidURL():
            return ConnectFailed()
        case ClientResponseError() | HttpProcessingError():
            return ProtocolBroken()
        case _:
            # ClientPayloadError too: a malformed body is told by HttpProcessingError, a body that
            # ends early by this.
            return Disconnected()


async def _try_once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Say what failed; as the session does not know the error, it does not try again."""
    try:
        return await handler(request)
    except ConnectionTimeoutError:
        raise
    except _FAILURES as exc:
        # Before there is a response it is the way there, whatever class a proxy's failure has.
        has_connected = request.response is not None
        raise (upstream_error(exc) if has_connected else ConnectFailed()) from exc


def _take_exception(closed: asyncio.Future[None]) -> None:
    """Keep asyncio from logging that nobody asked why an idle connection was lost."""
    if not closed.cancelled():
        closed.exception()


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    return io.BytesIO(body) if body and len(body) > _MAX_UNSPLIT_BYTES else body


def _context(ca_file: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as exc:  # ssl.SSLError is one
        raise ConfigError("ca_file", f"cannot be used: {exc.strerror or exc}") from exc
    context.set_alpn_protocols(["http/1.1"])
    return context


def _proxy(url: URL, options: ConnectionOptions) -> str | None:
    """Return the URL of the proxy to be gone through; None for none."""
    if options.proxy or not options.trust_env:
        return options.proxy or None
    is_excepted = urllib.request.proxy_bypass(url.host_port_subcomponent or "")
    return None if is_excepted else _environment_proxy(url.scheme)


def _environment_proxy(scheme: str) -> str | None:
    """Read the environment: aiohttp would add what ~/.netrc holds, and a thread for each call."""
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if proxy is None:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parse_url(proxy, with_userinfo=True)
    except ValueError as exc:
        raise ConfigError("trust_env", f"the environment's proxy for {scheme}: {exc}") from exc
    return proxy
