"""Requests as bytes: HTTP/1.1 heads in origin-form and absolute-form (RFC 9112 sections 3 and 5).

Nothing is added to what a call says but Host and, where RFC 9110 section 8.6 wants it, the length
of the body; nothing is escaped, put in order or repaired.
"""

import re

from streaming.core.call import Call
from streaming.core.url import DEFAULT_PORTS, Origin

_AUTHORITY_END = re.compile("[/?#]")
_AFTER_SCHEME = len("http://")

# Methods whose requests are expected to have a body: its absence is said too.
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


def split_target(url: str) -> tuple[str, str]:
    """Cut a URL where its path begins: what names the origin, and what is asked of it.

    Args:
        url: Absolute, http or https.

    Returns:
        Scheme and authority, then path and query as they stand, with a slash at the beginning; a
        fragment is never sent.
    """
    found = _AUTHORITY_END.search(url, _AFTER_SCHEME + 1)
    if found is None:
        return url, "/"
    target = url[found.start() :]
    if "#" in target:
        target = target.partition("#")[0]
    return url[: found.start()], target if target.startswith("/") else f"/{target}"


def host_field(origin: Origin) -> str:
    """Return the value of Host: the port only where it is not the scheme's own."""
    is_default = origin.port == DEFAULT_PORTS[origin.scheme]
    return origin.host if is_default else f"{origin.host}:{origin.port}"


def encode_head(call: Call, target: str, *, host: str, more: str = "") -> bytes:
    """Write the head of a call's request.

    Args:
        call: What is sent. A Host of its own takes the place of the given one.
        target: What stands between method and version.
        host: The value of Host.
        more: Further lines, each with its end, for whoever is on the way.

    Raises:
        ValueError: There is a line break, NUL or half a surrogate pair in what makes one line, or a
            space in the target.
    """
    fields = "".join([f"{name}: {value}\r\n" for name, value in call.headers])
    own = "" if _has_host(call) else f"Host: {host}\r\n"
    length = _length(call)
    head = f"{call.method} {target} HTTP/1.1\r\n{own}{more}{fields}{length}\r\n"
    lines = 2 + len(call.headers) + bool(own) + bool(length) + more.count("\n")
    if head.count("\n") != lines or head.count("\r") != lines:
        raise ValueError("a line of a request has a line break in it")
    if "\0" in head or " " in target:
        raise ValueError("a request has NUL in it, or its target a space")
    return head.encode()


def encode_connect(origin: Origin, *, more: str = "") -> bytes:
    """Write what a proxy is asked for a tunnel by (RFC 9110 section 9.3.6).

    Args:
        origin: Where it leads.
        more: Further lines, each with its end.
    """
    authority = f"{origin.host}:{origin.port}"
    return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{more}\r\n".encode()


def _has_host(call: Call) -> bool:
    return "host" in {name.lower() for name, _ in call.headers}


def _length(call: Call) -> str:
    if call.body is not None:
        return f"Content-Length: {len(call.body)}\r\n"
    return "Content-Length: 0\r\n" if call.method in _WITH_BODY else ""
