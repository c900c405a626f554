"""The default transport: HTTP/1.1 of our own, on llhttp by httptools.

See `transport` for what is asked of it, and docs/decisions/0001-upstream-transport.md for why it is
our own. Here is decided what calls have in common that share connections, and which certificates
are trusted; the rest has modules of its own: `core.http_request`, `http_response`,
`http_connection`, `http_pool`, `http_connect`, `http_dns`, `http_proxy`.

Nothing is sent twice: a kept connection that the upstream closes just as it is used again gives
Disconnected; the caller knows what may be repeated.
"""

import functools
import ssl

from streaming.core.call import Call, ConnectionOptions
from streaming.core.errors import ConfigError
from streaming.core.errors_upstream import ConnectFailed
from streaming.core.http_request import encode_head, host_field, split_target
from streaming.core.url import Origin, parse_url
from streaming.engine.http_connect import Connector, Way
from streaming.engine.http_connection import HttpConnection
from streaming.engine.http_pool import HttpPool
from streaming.engine.http_proxy import parse_proxy, proxy_for, proxy_to
from streaming.engine.http_response import HttpResponse

# Redirects may lead to any port of a host: the ways that are known have a bound, and begin anew.
_MAX_WAYS = 1024


class HttptoolsTransport:
    """Carries calls. It belongs to the event loop that opens its first call."""

    def __init__(self) -> None:
        self._pool: HttpPool | None = None
        self._connector: Connector | None = None
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._ways: dict[tuple[str, ConnectionOptions, str], Way] = {}

    def check(self, options: ConnectionOptions) -> None:
        """See `Transport`."""
        self._tls(options)
        for scheme in ("http", "https") if options.trust_env and not options.proxy else ():
            proxy_for(scheme)

    async def open(self, call: Call, *, with_credentials: bool = True) -> HttpResponse:
        """See `Transport`. It adds no credentials, so `with_credentials` changes nothing."""
        place, target = split_target(call.url)
        way = self._way(place, call.options)
        more = ""
        if way.proxy is not None and not way.has_tunnel:
            target, more = place + target, way.proxy.fields
        # Before there is a connection, which a call that cannot be written would leave to nobody.
        head = encode_head(call, target, host=way.host, more=more)
        connection = self._free_connection(way) or await self._connect(way, call.connect_timeout)
        return await connection.exchange(call.method, head, call.body)

    async def aclose(self) -> None:
        """See `Transport`."""
        if self._connector is not None:
            await self._connector.aclose()
        if self._pool is not None:
            await self._pool.aclose()

    def _free_connection(self, way: Way) -> HttpConnection | None:
        return None if self._pool is None else self._pool.take(way)

    async def _connect(self, way: Way, timeout: float) -> HttpConnection:
        if self._pool is None:
            self._pool = HttpPool()
        if self._connector is None:
            self._connector = Connector(self._pool)
        return await self._connector.connect(way, timeout=timeout)

    def _way(self, place: str, options: ConnectionOptions) -> Way:
        """Return the way to an origin, the same object for the same way."""
        proxy = options.proxy
        if options.trust_env and not proxy:
            proxy = proxy_to(_origin(place))
        key = (place, options, proxy)
        way = self._ways.get(key)
        if way is None:
            way = self._make_way(place, options, proxy)
            if len(self._ways) >= _MAX_WAYS:
                self._ways.clear()
            self._ways[key] = way
        return way

    def _make_way(self, place: str, options: ConnectionOptions, proxy: str) -> Way:
        origin = _origin(place)
        through = parse_proxy(proxy) if proxy else None
        has_tls = origin.scheme == "https" or (through and through.origin.scheme == "https")
        return Way(
            origin=origin,
            host=host_field(origin),
            proxy=through,
            tls=self._tls(options) if has_tls else None,
        )

    def _tls(self, options: ConnectionOptions) -> ssl.SSLContext:
        """Return what says which certificates are trusted."""
        if not (options.verify and options.ca_file):
            return _default_context(verify=options.verify)
        if options.ca_file not in self._contexts:
            self._contexts[options.ca_file] = _context_of(options.ca_file)
        return self._contexts[options.ca_file]


def _origin(place: str) -> Origin:
    try:
        return parse_url(place).origin
    except ValueError as exc:
        raise ConnectFailed from exc


@functools.cache
def _default_context(*, verify: bool) -> ssl.SSLContext:
    """Trust whom this machine trusts, or everybody; once for the process: it takes 50 ms."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


def _context_of(ca_file: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as exc:  # ssl.SSLError is one
        raise ConfigError("ca_file", f"cannot be used: {exc.strerror or exc}") from exc
    context.set_alpn_protocols(["http/1.1"])
    return context
