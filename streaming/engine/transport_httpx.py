"""A transport over an `httpx.AsyncClient` that the user has made.

See `transport` for what is asked of it. The client's own ways apply: its authentication, default
header fields, cookies, hooks, proxies and transport (a mock in tests, httpx-aiohttp for speed). It
is not closed here. What httpx leaves no hold on:

- `httpx.URL` percent-encodes ``" < > ` { }`` where they stand bare, and removes dot segments from a
  path.
- The time to connect is counted as the client's transport counts it: httpx's own starts anew for
  TLS, httpx-aiohttp rounds what is over 5 s up.
- A body that breaks off and a chunk that is malformed have one class in httpx: both become
  Disconnected.
- httpx-aiohttp decodes and encodes the URL anew, joins fields of one name, and has the faults of
  aiohttp: a second try, a reader left waiting at a malformed chunk, and a body without a length
  that seems whole after a reset.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import fields

import httpx

from streaming.core.call import Call, ConnectionOptions
from streaming.core.errors import ConfigError
from streaming.core.errors_upstream import (
    BadStatus,
    ConnectFailed,
    Disconnected,
    InternalError,
    ProtocolBroken,
    TimedOut,
    UpstreamError,
)
from streaming.engine.errors_aiohttp import (
    AIOHTTP_CONNECT_TIMEOUTS,
    AIOHTTP_FAILURES,
    error_of_aiohttp,
)
from streaming.engine.transport import MAX_READ_BYTES

_FAILURES: tuple[type[Exception], ...] = (
    *(httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError),
    *AIOHTTP_FAILURES,
)


class HttpxTransport:
    """Carries calls by a client of the user's.

    Args:
        client: Whoever made it closes it.

    Raises:
        ConfigError: The client has query parameters of its own.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        if client.params:
            # httpx would put them in the place of the query that stands in an upstream's URL.
            raise ConfigError("client", "has query parameters: write them into the upstreams' URLs")
        self._client = client

    def check(self, options: ConnectionOptions) -> None:
        """See `Transport`. With a client of one's own, all of them are set on the client."""
        for field in fields(options):
            if getattr(options, field.name) != field.default:
                raise ConfigError(field.name, "set this on the httpx client that is given instead")

    async def open(self, call: Call, *, with_credentials: bool = True) -> "HttpxResponse":
        """See `Transport`. Without credentials, none of the client's fields or cookies go along."""
        self.check(call.options)
        clock = asyncio.get_running_loop()
        started = clock.time()
        try:
            response = await self._client.send(
                self._request(call, with_credentials=with_credentials),
                stream=True,
                auth=httpx.USE_CLIENT_DEFAULT if with_credentials else None,
                follow_redirects=False,
            )
        except _FAILURES as exc:
            if _is_connect_timeout(exc):
                raise TimedOut("connection", call.connect_timeout) from exc
            raise _upstream_error(exc, waiting_for="head", waited=clock.time() - started) from exc
        return HttpxResponse(response)

    async def aclose(self) -> None:
        """Do nothing: the client is closed by whoever made it."""

    def _request(self, call: Call, *, with_credentials: bool) -> httpx.Request:
        build = self._client.build_request if with_credentials else httpx.Request
        times = {"connect": call.connect_timeout, "read": None, "write": None, "pool": None}
        return build(
            call.method,
            call.url,
            headers=[(name.encode(), value.encode()) for name, value in call.headers],
            content=call.body,
            extensions={"timeout": times},
        )


class HttpxResponse:
    """See `Response`."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self._response = response
        # A mock's body, and one that a hook has asked for, is there and decoded already.
        self._is_decoded = response.is_stream_consumed
        self._pieces = _only(response.content) if self._is_decoded else response.aiter_raw()
        self._rest = memoryview(b"")
        self._failure: UpstreamError | None = None

    def header(self, name: str) -> str | None:
        """See `Response`."""
        if self._is_decoded and name.lower() == "content-encoding":
            return None
        return next(iter(self._response.headers.get_list(name)), None)

    async def read(self) -> bytes:
        """See `Response`."""
        if not self._rest:
            self._rest = memoryview(await self._next_piece())
        piece, self._rest = self._rest[:MAX_READ_BYTES], self._rest[MAX_READ_BYTES:]
        return bytes(piece)

    async def aclose(self) -> None:
        """See `Response`."""
        with contextlib.suppress(*_FAILURES):
            await self._response.aclose()

    async def _next_piece(self) -> bytes:
        if self._failure is not None:
            raise self._failure  # the iterator itself would only end from then on
        clock = asyncio.get_running_loop()
        started = clock.time()
        try:
            return await anext(self._pieces, b"")
        except _FAILURES as exc:
            waited = clock.time() - started
            self._failure = _upstream_error(exc, waiting_for="body", waited=waited)
            raise self._failure from exc


def _upstream_error(failure: Exception, *, waiting_for: str, waited: float) -> UpstreamError:
    """Say what an exception of httpx's means, by its class and that of its cause."""
    for exc in (failure, failure.__cause__):
        if isinstance(exc, AIOHTTP_FAILURES):
            return error_of_aiohttp(exc)
    match failure:
        case httpx.TimeoutException() | TimeoutError():
            return TimedOut(waiting_for, round(waited, 3))
        case httpx.ConnectError() | httpx.ProxyError():
            return ConnectFailed()
        case httpx.UnsupportedProtocol() | httpx.InvalidURL() | UnicodeError():
            return ConnectFailed()
        case httpx.RemoteProtocolError() if waiting_for == "head" and _is_not_http(failure):
            return ProtocolBroken()
        case httpx.RemoteProtocolError() | httpx.NetworkError() | OSError():
            return Disconnected()
        case httpx.HTTPStatusError():  # raised by a hook of the client's
            return BadStatus(failure.response.status_code)
        case _:
            return InternalError()


def _is_connect_timeout(failure: Exception) -> bool:
    cause = failure.__cause__
    if isinstance(cause, AIOHTTP_FAILURES):
        return isinstance(cause, AIOHTTP_CONNECT_TIMEOUTS)
    return isinstance(failure, httpx.ConnectTimeout | httpx.PoolTimeout)


def _is_not_http(failure: httpx.RemoteProtocolError) -> bool:
    """Tell a head that is malformed from one that never came, which have one class in httpx.

    httpcore makes the first of the parser's exception, the second of a sentence of its own; httpx
    itself judges the `Location` of a redirect.
    """
    made_of = getattr(failure.__cause__, "args", ())
    return isinstance(failure.__context__, httpx.InvalidURL) or any(
        isinstance(arg, Exception) for arg in made_of
    )


async def _only(content: bytes) -> AsyncIterator[bytes]:
    yield content
