"""What aiohttp's exceptions mean, for an httpx client that calls by it; nothing where it is not.

httpx-aiohttp lets those pass for which it has no class of httpx's, and names others wrongly: a
server that hangs up becomes a ConnectTimeout. The cause says what it was, by its class.
"""

from streaming.core.errors_upstream import (
    ConnectFailed,
    Disconnected,
    ProtocolBroken,
    UpstreamError,
)

try:
    import aiohttp
    from aiohttp.http import HttpProcessingError
except ImportError:
    AIOHTTP_FAILURES: tuple[type[Exception], ...] = ()
    AIOHTTP_CONNECT_TIMEOUTS: tuple[type[Exception], ...] = ()
    _NO_CONNECTION: tuple[type[Exception], ...] = ()
    _NOT_HTTP: tuple[type[Exception], ...] = ()
else:
    AIOHTTP_FAILURES = (aiohttp.ClientError, HttpProcessingError)
    AIOHTTP_CONNECT_TIMEOUTS = (aiohttp.ConnectionTimeoutError,)
    _NO_CONNECTION = (
        aiohttp.ClientConnectorError,
        aiohttp.ClientHttpProxyError,
        aiohttp.InvalidURL,
    )
    _NOT_HTTP = (aiohttp.ClientResponseError, HttpProcessingError)


def error_of_aiohttp(failure: BaseException) -> UpstreamError:
    """Say what one of `AIOHTTP_FAILURES` means.

    Not asked about `AIOHTTP_CONNECT_TIMEOUTS`: only the caller knows how long was waited.
    """
    if isinstance(failure, _NO_CONNECTION):
        return ConnectFailed()
    # A malformed body is told by HttpProcessingError, one that ends early by ClientPayloadError.
    return ProtocolBroken() if isinstance(failure, _NOT_HTTP) else Disconnected()
