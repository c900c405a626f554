"""Where a request carries its token (CONTRACT `[auth]`, RFC 6750 section 2).

In `Authorization`, else in `?access_token=`, as an EventSource can set no header, else in a cookie.
A browser sends a cookie whoever had it send the request, so that one counts only where the page is
of this host, or of an origin that `cors_origins` names.
"""

import re
from collections.abc import Collection

from streaming.core.errors_request import InvalidToken
from streaming.core.message import Request
from streaming.core.origin import may_send_cookies

TOKEN_PARAMETER = "access_token"  # noqa: S105 - a name, not a secret
"""The parameter of the query that carries a token; RFC 6750 section 2.3."""

MAX_TOKEN_BYTES = 8192
"""Bytes of a token; a longer one is answered 401, and not looked into."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def find_token(request: Request, *, cookie: str, cors_origins: Collection[str]) -> str | None:
    """Return the token that a request carries; None where it carries none.

    Args:
        request: The request.
        cookie: The name of the cookie that may carry it; empty for none.
        cors_origins: The origins that may send the cookie; `*` is none of them.

    Raises:
        InvalidToken: What stands in its place cannot be one.
    """
    token = _from_header(request) or request.query_value(TOKEN_PARAMETER)
    if not token and cookie and may_send_cookies(request, cors_origins=cors_origins):
        token = _from_cookie(request, cookie)
    if not token:
        return None
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidToken(f"it is longer than {MAX_TOKEN_BYTES} bytes")
    if not _TOKEN.fullmatch(token):
        raise InvalidToken("it has characters that no token has")
    return token


def _from_header(request: Request) -> str | None:
    scheme, _, token = (request.header("authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _from_cookie(request: Request, cookie: str) -> str | None:
    for pair in (request.header("cookie") or "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == cookie:
            return value.strip('"')
    return None
