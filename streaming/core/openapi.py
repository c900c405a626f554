"""The OpenAPI 3.1 document of the HTTP interface (CONTRACT), made from its routes and the feeds.

Each feed has a path of its own with its own parameters, before `/feeds/{feed}`, which stands for
any; a concrete path is matched first. Of an upstream nothing but its name gets in. No operation has
a `default` answer: what is not listed is not answered. The page, and what a framework says of paths
and methods that are none, are left out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from streaming.core.errors_request import (
    BodyTooLarge,
    BodyTooSlow,
    Draining,
    Forbidden,
    ForbiddenOrigin,
    IdTooLong,
    InvalidParameter,
    LogsFull,
    LogUnreachable,
    NotAcceptable,
    NotRepeatable,
    RequestError,
    TooManyRuns,
    TooManyStreams,
    TooManyStreamsPerAddress,
    UnknownFeed,
    UnknownRun,
    UnparsableBody,
    UnsupportedMediaType,
)
from streaming.core.feed import Feed
from streaming.core.openapi_answers import HEADERS, RESPONSES, answers, problems
from streaming.core.openapi_params import (
    ANY_PARAMETERS,
    STREAM_PARAMETERS,
    params_schema,
    query_parameters,
)
from streaming.core.openapi_schemas import make_schemas
from streaming.core.openapi_security import TOKEN_ERRORS, impossible_errors, security_schemes
from streaming.core.routes import OPEN_OPERATIONS, ROUTES, Route
from streaming.core.settings import AuthSettings

VERSION = "1"
"""Of the interface: it rises when a program that was written against it would break."""

Errors = tuple[type[RequestError], ...]

_NO_ROOM: Errors = (TooManyStreams, TooManyStreamsPerAddress, TooManyRuns, LogsFull)
_FEED_ERRORS: Errors = (
    IdTooLong,
    Forbidden,
    ForbiddenOrigin,
    UnknownFeed,
    NotAcceptable,
    NotRepeatable,
    InvalidParameter,
    *_NO_ROOM,
    LogUnreachable,
    Draining,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operation:
    """What an operation does and answers.

    Args:
        summary: What it does.
        answers: Its answers by their status, as `RESPONSES` names them.
        errors: What else it answers.
        is_stream: Whether it takes what is said of a stream.
    """

    summary: str
    answers: Mapping[str, str]
    errors: Errors = ()
    is_stream: bool = False


_OPERATIONS = {
    "list_feeds": _Operation(
        summary="List the feeds with their parameters and the names of their upstreams",
        answers={"200": "Feeds"},
    ),
    "read_feed": _Operation(
        summary="Start a run, join one or resume one, and stream it",
        answers={"200": "Stream", "204": "NothingLeft"},
        errors=_FEED_ERRORS,
        is_stream=True,
    ),
    "create_run": _Operation(
        summary="Start a run or join one; stream it where `format` or `Accept` names a stream",
        answers={"200": "JoinedRun", "201": "CreatedRun", "204": "NothingLeft"},
        errors=(*_FEED_ERRORS, UnparsableBody, BodyTooSlow, BodyTooLarge, UnsupportedMediaType),
        is_stream=True,
    ),
    "read_run": _Operation(
        summary="Stream the events of a run, or say as JSON how it stands",
        answers={"200": "Stream", "204": "NothingLeft"},
        errors=(
            IdTooLong,
            Forbidden,
            UnknownRun,
            NotAcceptable,
            InvalidParameter,
            *_NO_ROOM,
            LogUnreachable,
        ),
        is_stream=True,
    ),
    "delete_run": _Operation(
        summary="End a run for all of its viewers",
        answers={"204": "Ended"},
        errors=(
            IdTooLong,
            Forbidden,
            ForbiddenOrigin,
            UnknownRun,
            InvalidParameter,
            TooManyRuns,
            LogsFull,
            LogUnreachable,
        ),
    ),
    "read_health": _Operation(summary="Say that the process lives", answers={"200": "Health"}),
    "read_readiness": _Operation(
        summary="Say whether the process takes new work",
        answers={"200": "Readiness"},
        errors=(Draining, LogUnreachable),
    ),
    "read_openapi": _Operation(summary="Read this document", answers={"200": "Document"}),
    "preflight": _Operation(summary="List the methods", answers={"204": "Methods"}),
}


def openapi_document(
    feeds: Mapping[str, Feed], *, auth: AuthSettings | None = None
) -> dict[str, Any]:
    """Return the document of an application.

    Args:
        feeds: The feeds to describe, by their names.
        auth: What tokens have to be; None where nobody is asked for one.
    """
    possible = [*TOKEN_ERRORS, *(error for each in _OPERATIONS.values() for error in each.errors)]
    impossible = impossible_errors(auth)
    errors = {error.__name__: error for error in possible if error not in impossible}
    security = {"securitySchemes": security_schemes(auth)} if auth else {}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fanstream",
            "version": VERSION,
            "description": "One request fans out to many slow HTTP calls; each answer is streamed"
            " on the moment it arrives.",
        },
        # Relative to where the document was read, so that a prefix stays.
        "servers": [{"url": "."}],
        "paths": dict(_paths(feeds, auth)),
        "components": {
            "schemas": make_schemas(errors.values()),
            "parameters": STREAM_PARAMETERS,
            "headers": HEADERS,
            "responses": RESPONSES,
            **security,
        },
    }


def _paths(
    feeds: Mapping[str, Feed], auth: AuthSettings | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    for route in ROUTES:
        if route.name == "feed":
            for feed in feeds.values():
                yield route.rule.replace("<feed>", feed.name), _path_item(route, feed, auth)
        yield re.sub("<(.+?)>", r"{\1}", route.rule), _path_item(route, None, auth)


def _path_item(route: Route, feed: Feed | None, auth: AuthSettings | None) -> dict[str, Any]:
    operations = {method.lower(): _describe(route, method, feed, auth) for method in route.methods}
    return {"summary": feed.title, **operations} if feed and feed.title else operations


def _describe(
    route: Route, method: str, feed: Feed | None, auth: AuthSettings | None
) -> dict[str, Any]:
    """Describe an operation; `feed` is the one whose path it has."""
    operation = _OPERATIONS[route.operation(method)]
    is_head = method == "HEAD"
    is_open = auth is None or route.operation(method) in OPEN_OPERATIONS
    errors = operation.errors if is_open else TOKEN_ERRORS + operation.errors
    errors = _possible(errors, feed, auth, is_head=is_head)
    described: dict[str, Any] = {
        "operationId": _operation_id(route, method, feed),
        "summary": f"{operation.summary}; the headers alone" if is_head else operation.summary,
        "tags": [feed.name if feed else route.name],
        "parameters": list(_parameters(route, method, feed)),
        "responses": {
            **answers(operation.answers, with_content=not is_head),
            **problems(errors, with_content=not is_head),
        },
    }
    if auth is not None and not is_open:
        described["security"] = [{name: []} for name in security_schemes(auth)]
    if method == "POST":
        body = {"application/json": {"schema": params_schema(feed)}}
        described["requestBody"] = {"required": True, "content": body}
    return described


def _operation_id(route: Route, method: str, feed: Feed | None) -> str:
    """Return a name that no other operation has, whatever the feeds are called."""
    name = route.operation(method)
    if name not in route.operations.values():
        name = f"{name}_{route.name}"
    if method == "HEAD":
        name = f"head_{name}"
    return f"{name}_{feed.name}" if feed else name


def _possible(
    errors: Errors, feed: Feed | None, auth: AuthSettings | None, *, is_head: bool
) -> Errors:
    """Return the errors of an operation without those that cannot be: on this feed, or for HEAD."""
    impossible = set(impossible_errors(auth))
    if is_head:
        impossible.update(_NO_ROOM)
    if feed is not None:
        impossible.add(UnknownFeed)
        if all(upstream.is_repeatable for upstream in feed.upstreams.values()):
            impossible.add(NotRepeatable)
    return tuple(error for error in errors if error not in impossible)


def _parameters(route: Route, method: str, feed: Feed | None) -> Iterator[dict[str, Any]]:
    if feed is None:
        for name in re.findall("<(.+?)>", route.rule):
            yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    operation = route.operation(method)
    if operation == "read_feed":
        yield from query_parameters(feed) if feed else (ANY_PARAMETERS,)
    if _OPERATIONS[operation].is_stream:
        yield from ({"$ref": f"#/components/parameters/{name}"} for name in STREAM_PARAMETERS)
