"""Where a request comes from: the site of the page that sent it, and the address of the client.

The Fetch standard's `Origin` and the Fetch Metadata `Sec-Fetch-Site` say which page had a browser
send a request; neither can be forged by a page.
"""

import ipaddress
from collections.abc import Collection
from functools import lru_cache

from streaming.core.errors_request import ForbiddenOrigin
from streaming.core.message import Headers, Request

PREFLIGHT_MAX_AGE = 600
"""Seconds that a browser may keep the answer to a preflight."""

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def is_allowed_cross_origin(request: Request, *, cors_origins: Collection[str]) -> bool:
    """Say whether the request names an origin that the configuration admits."""
    origin = request.header("origin")
    return origin is not None and (origin in cors_origins or "*" in cors_origins)


def check_origin(request: Request, *, cors_origins: Collection[str]) -> None:
    """Refuse a request that another site's page had a browser send.

    Raises:
        ForbiddenOrigin: It is neither this host's own nor in `cors_origins`.
    """
    if is_allowed_cross_origin(request, cors_origins=cors_origins):
        return
    site = request.header("sec-fetch-site")
    if site == "same-origin":
        # The browser's own word, which holds behind a proxy that rewrites `Host` too.
        return
    if site == "cross-site":
        raise ForbiddenOrigin
    origin = request.header("origin")
    if origin is not None and not _is_own(origin, host=request.header("host") or ""):
        raise ForbiddenOrigin


def may_send_cookies(request: Request, *, cors_origins: Collection[str]) -> bool:
    """Say whether a request's cookies are sent by a page of this host, or one that is admitted.

    Stricter than `check_origin`: a page of another host of the same site is none of them. Where a
    browser says neither site nor origin, as it does over plain HTTP, the page that it names in
    `Referer` counts; what names no page at all is not told from a program.

    Args:
        request: The request.
        cors_origins: The origins that are admitted, each by its name: `*` is none.
    """
    site = request.header("sec-fetch-site")
    origin = request.header("origin") or _origin_of(request.header("referer") or "")
    if origin and origin in cors_origins:
        return True
    if site is not None:
        return site in ("same-origin", "none")
    return not origin or _is_own(origin, host=request.header("host") or "")


def cors_headers(
    request: Request, *, cors_origins: Collection[str], with_cookies: bool = False
) -> Headers:
    """Return what lets the page of an admitted origin read the answer.

    Args:
        request: What is answered.
        cors_origins: The origins that are admitted, `*` for all.
        with_cookies: Whether a page of an origin that is named may have cookies sent.
    """
    if not cors_origins:
        return ()
    if not is_allowed_cross_origin(request, cors_origins=cors_origins):
        return (("Vary", "Origin"),)
    origin = request.header("origin") or ""
    headers: Headers = (
        ("Vary", "Origin"),
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Expose-Headers", "Location, Retry-After, WWW-Authenticate"),
    )
    if with_cookies and origin in cors_origins:
        headers += (("Access-Control-Allow-Credentials", "true"),)
    return headers


def preflight_headers(*, methods: Collection[str]) -> Headers:
    """Return what answers the preflight of an admitted origin."""
    return (
        ("Access-Control-Allow-Methods", ", ".join(methods)),
        ("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID"),
        ("Access-Control-Max-Age", str(PREFLIGHT_MAX_AGE)),
    )


def client_address(request: Request, *, trusted_proxies: Collection[str]) -> str:
    """Return the address of the client, behind the proxies that are trusted to name it.

    The list in `X-Forwarded-For` is read from its end, the nearest first, and ends at the first
    address that is not a trusted proxy: what stands before it, a client may have written itself.
    """
    address = _plain_address(request.peer)
    said = request.header("x-forwarded-for")
    if not said or not trusted_proxies:
        return address
    networks = [ipaddress.ip_network(proxy, strict=False) for proxy in trusted_proxies]
    forwarded = said.split(",")
    while forwarded and _is_within(address, networks):
        nearest = _plain_address(forwarded.pop())
        if not nearest:
            break
        address = nearest
    return address


def _is_within(address: str, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


@lru_cache(maxsize=1024)
def _plain_address(text: str) -> str:
    """Write an address in one form: without a port, and IPv4 as such where IPv6 carries it.

    What is no address is returned as it is.
    """
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _origin_of(url: str) -> str:
    """Return the scheme, host and port of a URL as an origin has them; empty for none."""
    return "/".join(url.split("/", 3)[:3])


def _is_own(origin: str, *, host: str) -> bool:
    """Say whether an origin is the host that was asked.

    They are compared without the scheme, which a proxy that ends TLS changes.
    """
    scheme, _, named = origin.lower().partition("://")
    # An origin never names its scheme's port; a proxy that rewrites `Host` may.
    return named != "" and named == host.lower().removesuffix(_DEFAULT_PORTS.get(scheme, ""))
