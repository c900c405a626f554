"""Proxies: which one a call goes through, and what it is told of who asks.

RFC 9110 section 9.3.6, RFC 9112 section 3.2.2. An http URL is asked of a proxy whole, an https URL
through a tunnel. A proxy is configured, or the environment's where `trust_env` is set, read as curl
and Python's own client read it; what ~/.netrc holds is never sent.
"""

import base64
import urllib.request
from dataclasses import dataclass, field
from urllib.parse import unquote

from streaming.core.errors import ConfigError
from streaming.core.http_request import host_field, split_target
from streaming.core.url import Origin, parse_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """One proxy.

    Args:
        origin: Where it is; with https it is spoken to over TLS.
        fields: Lines of a head that are meant for it alone, each with its end.
    """

    origin: Origin
    fields: str = field(repr=False)


def parse_proxy(url: str) -> Proxy:
    """Read a proxy's URL, with user and password where it has them.

    Raises:
        ValueError: It is none, or of another kind than http and https.
    """
    origin = parse_url(url, with_userinfo=True).origin
    userinfo, at, _ = split_target(url)[0].partition("://")[2].rpartition("@")
    return Proxy(origin=origin, fields=_authorization(userinfo) if at else "")


def _authorization(userinfo: str) -> str:
    """Write what the Basic scheme sends (RFC 7617)."""
    user, _, password = userinfo.partition(":")
    token = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode())
    return f"Proxy-Authorization: Basic {token.decode()}\r\n"


def proxy_to(origin: Origin) -> str:
    """Return the URL of the environment's proxy on the way to an origin; empty for none.

    Raises:
        ConfigError: See `proxy_for`.
    """
    is_excepted = urllib.request.proxy_bypass(host_field(origin))
    return "" if is_excepted else proxy_for(origin.scheme)


def proxy_for(scheme: str) -> str:
    """Return the URL of the proxy that the environment names for a scheme; empty for none.

    Raises:
        ConfigError: It names one of a kind that is not known, and no call may go past it.
    """
    proxies = urllib.request.getproxies()
    url = proxies.get(scheme) or proxies.get("all")
    if url is None:
        return ""
    url = url if "://" in url else f"http://{url}"
    try:
        parse_proxy(url)
    except ValueError as exc:
        raise ConfigError("trust_env", f"the environment's proxy for {scheme}: {exc}") from exc
    return url
