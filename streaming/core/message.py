"""A request and its answer, as the HTTP interface sees them, whatever framework carries them.

An adapter reads all of the request into a `Request` before the body of the answer starts, so that
nothing of the framework's own request is needed, or held, while a stream runs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from streaming.core import codec
from streaming.core.errors_request import (
    Forbidden,
    InvalidToken,
    MissingToken,
    NotAcceptable,
    RequestError,
)

Headers = tuple[tuple[str, str], ...]

NO_STORE: Headers = (("Cache-Control", "no-store"),)
VARY_ACCEPT: Headers = (("Vary", "Accept"),)
STREAM_HEADERS: Headers = (
    ("Cache-Control", "no-cache, no-transform"),
    ("X-Accel-Buffering", "no"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request.

    Args:
        method: In upper case.
        path: The variable parts of its path, such as `{"feed": "city"}`.
        query: Its query, decoded, in order; a name may come twice.
        headers: Its headers by lower-case name; several with one name joined, see `join_fields`.
        body: Its body, where the operation reads one.
        peer: The address that it came from; empty where there is none.
        rule: The route's rule.
        max_silence: Seconds after which a beat has to be written, where nothing but writing tells
            the carrier that its client has gone; None where it can tell.
    """

    method: str
    path: Mapping[str, str] = field(default_factory=dict)
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    peer: str = ""
    rule: str = ""
    max_silence: float | None = None

    def header(self, name: str) -> str | None:
        """Return a header by its lower-case name."""
        return self.headers.get(name)

    @property
    def last_event_id(self) -> str | None:
        """What the client sends to resume; the header before the query."""
        return self.header("last-event-id") or self.query_value("last_event_id") or None

    def query_value(self, name: str) -> str | None:
        """Return a value of the query, the last one where there are several."""
        return next((value for key, value in reversed(self.query) if key == name), None)


def join_fields(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return header fields by lower-case name, several with one name as one (RFC 9110, 5.3)."""
    joined: dict[str, str] = {}
    for name, value in fields:
        key = name.lower()
        # HTTP/2 sends the pairs of a cookie one by one (RFC 9113, 8.2.3).
        separator = "; " if key == "cookie" else ", "
        joined[key] = f"{joined[key]}{separator}{value}" if key in joined else value
    return joined


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered.

    Args:
        status: The HTTP status.
        headers: In order; never a hop-by-hop header.
        body: All of the body; empty where it is a stream.
    """

    status: int = 200
    headers: Headers = ()
    body: bytes = b""


def json_reply(value: Any, *, status: int = 200, headers: Headers = NO_STORE) -> Reply:
    """Answer a JSON document."""
    content_type = ("Content-Type", "application/json")
    return Reply(status=status, headers=(content_type, *headers), body=codec.encode(value) + b"\n")


def problem_reply(error: RequestError) -> Reply:
    """Answer a problem document that says what is wrong with a request, and where."""
    facts = error.facts()
    return problem(
        kind=f"urn:fanstream:{error.code}",
        title=error.title,
        status=error.status,
        detail=str(error),
        facts=facts,
        headers=_headers_of(error),
    )


def _headers_of(error: RequestError) -> Headers:
    match error:
        case MissingToken():
            return _challenge()
        case InvalidToken():
            return _challenge('error="invalid_token"')
        case Forbidden():
            return _challenge('error="insufficient_scope"')
        case NotAcceptable():
            return VARY_ACCEPT
    retry_after = error.facts().get("retry_after")
    return () if retry_after is None else (("Retry-After", str(retry_after)),)


def _challenge(*said: str) -> Headers:
    """Ask for a token, and say what is wrong with the one that came (RFC 6750 section 3)."""
    return (("WWW-Authenticate", ", ".join(['Bearer realm="fanstream"', *said])),)


def problem(
    *,
    kind: str,
    title: str,
    status: int,
    detail: str | None,
    facts: Mapping[str, Any] = MappingProxyType({}),
    headers: Headers = (),
) -> Reply:
    """Answer a problem document (RFC 9457); `kind` is its `type`, a URI."""
    document = {"type": kind, "title": title, "status": status, "detail": detail, **facts}
    content_type = ("Content-Type", "application/problem+json")
    return Reply(
        status=status,
        headers=(content_type, *NO_STORE, *headers),
        body=codec.encode(document) + b"\n",
    )
