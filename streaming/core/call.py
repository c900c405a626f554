"""Calls: what a transport is asked to send, and where a redirect leads it.

CONTRACT "Upstream calls", Templates and Redirects. A call is made of an upstream and the bound
parameters of a run, once for each run and upstream, and holds all that a transport needs to know.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urljoin

from streaming.core.template import Value
from streaming.core.template_header import render_header
from streaming.core.upstream import ConnectionOptions, Upstream
from streaming.core.url import Origin, encode_path, encode_query, has_control, parse_url

__all__ = ["MAX_REDIRECTS", "Call", "ConnectionOptions", "build_call", "redirect"]

MAX_REDIRECTS = 5
"""Redirects that one attempt follows; a further one is `status`."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
# Credentials may stand in any other field, in `Cookie` or in one of a service's own making.
_KEPT_ACROSS_ORIGINS = frozenset(
    {"accept", "accept-encoding", "accept-language", "content-type", "user-agent"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP request, ready to be sent.

    Args:
        method: In upper case.
        url: Absolute and ASCII, already percent-encoded: path and query are sent exactly so. It may
            hold secrets.
        headers: Names and values, without control characters; text beyond ASCII is sent as UTF-8.
        body: None for none.
        connect_timeout: Seconds for DNS, TCP and TLS.
        options: How to connect.
    """

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)
    connect_timeout: float
    options: ConnectionOptions


def build_call(upstream: Upstream, params: Mapping[str, Value]) -> Call:
    """Fill an upstream's templates in.

    Args:
        upstream: What is called.
        params: The bound parameters of its feed (`Feed.bind`).

    Raises:
        InvalidParameter: A value makes a path segment `.` or `..`, or has a control character
            where it stands in a header.
    """
    template = upstream.json_template
    return Call(
        method=upstream.method,
        url=upstream.url_template.render(params),
        headers=tuple(
            [(name, render_header(value, params)) for name, value in upstream.header_templates]
        ),
        body=None if template is None else template.render(params),
        connect_timeout=upstream.connect_timeout,
        options=upstream.options,
    )


def redirect(
    call: Call, *, status: int, location: str | None, hosts: Collection[str]
) -> Call | None:
    """Return the call that a redirect asks for; None where it is not to be followed.

    Not followed are other statuses than 301, 302, 303, 307 and 308, a `Location` that is no http or
    https URL, other hosts than the same origin and the given ones, and the way from https to http.
    303 makes a GET of all but HEAD, 301 and 302 of POST (RFC 9110 section 15.4). To another origin
    go only the fields in which no credentials are.

    Args:
        call: What was answered so.
        status: The response's status.
        location: Its `Location`, relative or absolute.
        hosts: Other hosts that may be gone to: `host` for any port, or `host:port`.
    """
    if status not in _REDIRECT_STATUSES or not location:
        return None
    target = _resolve(call.url, location)
    if target is None:
        return None
    origin, url = target
    here = parse_url(call.url).origin
    if origin != here and not _may_go(here, origin, hosts):
        return None
    moved = replace(call, url=url)
    if _becomes_get(call.method, status):
        moved = replace(moved, method="GET", body=None, headers=_without_body(call.headers))
    if origin != here:
        moved = replace(moved, headers=_without_credentials(moved.headers))
    return moved


def _resolve(base: str, location: str) -> tuple[Origin, str] | None:
    location = location.strip(" ")
    if has_control(location):
        return None
    try:
        # `urljoin` would repair an absolute URL without a host to one on the same host.
        target = parse_url(location if _SCHEME.match(location) else urljoin(base, location))
        path, query = encode_path(target.path or "/"), encode_query(target.query or "")
    except ValueError:
        return None
    return target.origin, f"{target.origin}{path}" + (f"?{query}" if target.query else "")


def _may_go(here: Origin, there: Origin, hosts: Collection[str]) -> bool:
    if here.scheme == "https" and there.scheme == "http":
        return False
    allowed = {host.lower() for host in hosts}
    return there.host in allowed or f"{there.host}:{there.port}" in allowed


def _becomes_get(method: str, status: int) -> bool:
    if status == 303:
        return method != "HEAD"
    return status in (301, 302) and method == "POST"


def _without_body(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in headers if not pair[0].lower().startswith("content-"))


def _without_credentials(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in headers if pair[0].lower() in _KEPT_ACROSS_ORIGINS)
