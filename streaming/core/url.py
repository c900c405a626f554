"""URLs, as far as they are judged here: their parts, their origin, and what may stand in them.

RFC 3986, read narrowly: absolute `http` and `https` URLs without user information. What a URL
library would repair in silence (a backslash, an odd host, a port without digits) is an error here,
as another library down the way would repair it to something else.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import quote

DEFAULT_PORTS = {"http": 80, "https": 443}

_PARTS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)"
    r"(?:\?(?P<query>[^#]*))?(?P<fragment>#.*)?",
    re.DOTALL,
)
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")
_PORT = re.compile(r"[0-9]{1,5}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PATH_CHARS = "/:@!$&'()*+,;=%"
_QUERY_CHARS = _PATH_CHARS + "?"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a URL leads: scheme, host and port (RFC 6454).

    Args:
        scheme: `http` or `https`.
        host: In lower case; an IPv6 address in its brackets.
        port: Never None: where the URL names none, the scheme's.
    """

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        is_default = self.port == DEFAULT_PORTS[self.scheme]
        return f"{self.scheme}://{self.host}" + ("" if is_default else f":{self.port}")


@dataclass(frozen=True, slots=True)
class UrlParts:
    """An absolute URL, cut in parts; path and query as they were written.

    Args:
        origin: Where it leads.
        path: Empty, or beginning with a slash.
        query: Without its question mark; None where there is none.
        has_fragment: Whether one was written.
    """

    origin: Origin
    path: str
    query: str | None
    has_fragment: bool


def parse_url(text: str, *, with_userinfo: bool = False) -> UrlParts:
    """Cut an absolute URL in parts.

    Args:
        text: The URL.
        with_userinfo: Whether user and password may stand in it; they are passed over.

    Raises:
        ValueError: Not absolute, not http or https, or a host or port that cannot be. The sentence
            holds nothing of the URL, in which a secret may stand.
    """
    match = _PARTS.fullmatch(text)
    if match is None or match["scheme"].lower() not in DEFAULT_PORTS:
        raise ValueError("expected an absolute URL that begins with http:// or https://")
    authority = match["authority"]
    if "@" in authority and not with_userinfo:
        raise ValueError("has a user in the URL: send credentials in a header instead")
    origin = parse_origin(match["scheme"], authority.rpartition("@")[2])
    return UrlParts(origin, match["path"], match["query"], match["fragment"] is not None)


def parse_origin(scheme: str, authority: str) -> Origin:
    """Make an origin of a scheme (http or https) and a host with or without port.

    Raises:
        ValueError: A host or port that cannot be.
    """
    scheme = scheme.lower()
    host, port = parse_host(authority)
    return Origin(scheme, host, port or DEFAULT_PORTS[scheme])


def parse_host(text: str) -> tuple[str, int | None]:
    """Return the host in lower case, and the port where one is written.

    Raises:
        ValueError: A host or port that cannot be.
    """
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        host, colon, port = text, "", ""
    if not _is_host(host):
        raise ValueError("has no host, or one that cannot be: names in ASCII, IPv6 in brackets")
    if colon and not (_PORT.fullmatch(port) and 0 < int(port) < 65536):
        raise ValueError("has a port that cannot be: expected 1 to 65535")
    return host.lower(), int(port) if colon else None


def encode_path(text: str) -> str:
    """Return written text as it may stand in a path: as it is, the rest percent-encoded.

    Raises:
        ValueError: A lone surrogate.
    """
    return quote(_STRAY_PERCENT.sub("%25", text), safe=_PATH_CHARS)


def encode_query(text: str) -> str:
    """Return written text as it may stand in a query; see `encode_path`."""
    return quote(_STRAY_PERCENT.sub("%25", text), safe=_QUERY_CHARS)


def encode_value(text: str) -> str:
    """Percent-encode all but the unreserved characters (RFC 3986 section 2.3)."""
    return quote(text, safe="")


def is_dot_segment(segment: str) -> bool:
    """Say whether a server may take the path segment for `.` or `..`.

    As it stands, as `%2e`, and before a `;`, where some servers cut parameters off.
    """
    return segment.partition(";")[0].lower().replace("%2e", ".") in (".", "..")


def has_control(text: str) -> bool:
    """Say whether a control character stands in the text (Unicode's category Cc)."""
    return _CONTROL.search(text) is not None


def _is_host(host: str) -> bool:
    if not host.startswith("["):
        return _HOST_NAME.fullmatch(host) is not None
    try:
        # A zone (`%eth0`) means something on one machine alone.
        return host[-1] == "]" and IPv6Address(host[1:-1]).scope_id is None
    except AddressValueError:
        return False
