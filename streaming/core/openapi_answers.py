"""The answers in the OpenAPI document: those that went well, and the problem documents.

An answer to HEAD has the headers of its GET and no content.
"""

from collections.abc import Collection, Mapping
from typing import Any

from streaming.core.errors_request import Forbidden, InvalidToken, MissingToken, RequestError
from streaming.core.message import NO_STORE, STREAM_HEADERS, Headers
from streaming.core.negotiation import media_type
from streaming.core.openapi_events import COUNT, Schema, reference

Described = dict[str, Any]
"""A piece of the document."""

_STREAM_SCHEMAS = {"sse": "Event", "ndjson": "Lines", "text": "Text"}


def _json_content(schema: str) -> Described:
    return {media_type("json"): {"schema": reference(schema)}}


def _stream_content() -> Described:
    return {
        media_type(format).partition(";")[0]: {"schema": reference(schema)}
        for format, schema in _STREAM_SCHEMAS.items()
    }


def _constant_headers(headers: Headers) -> Described:
    return {
        name: {"required": True, "schema": {"type": "string", "const": value}}
        for name, value in headers
    }


def _header(description: str, *, schema: Schema | None = None, required: bool = True) -> Described:
    text = {"type": "string"}
    return {"description": description, "required": required, "schema": schema or text}


def _refer_headers(*names: str) -> Described:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _json_response(description: str, schema: str) -> Described:
    headers = _constant_headers(NO_STORE)
    return {"description": description, "headers": headers, "content": _json_content(schema)}


HEADERS: dict[str, Described] = {
    "Allow": _header("The methods of the path."),
    "Location": _header("Where the run is, relative to where it was asked for."),
    "Retry-After": _header("Seconds after which to ask again.", schema=COUNT),
    "Vary": _header("What the answer depends on beside its URL."),
    "WWW-Authenticate": _header("That a bearer token is asked for, and what is wrong with one."),
}
"""The headers that are described once, by their names."""

# The refusals that ask for a token, or for another one.
_CHALLENGES: frozenset[type[RequestError]] = frozenset({MissingToken, InvalidToken, Forbidden})

_RUN_LINKS = {
    operation: {"operationId": operation, "parameters": {"run": "$response.body#/run"}}
    for operation in ("read_run", "delete_run")
}

RESPONSES: dict[str, Described] = {
    "Feeds": _json_response("The feeds.", "Feeds"),
    "Stream": {
        "description": "The events as they come; as JSON, the run as one document.",
        "headers": {**_constant_headers(STREAM_HEADERS), **_refer_headers("Vary")},
        "content": {**_stream_content(), **_json_content("Run")},
    },
    "NothingLeft": {
        "description": "The run has ended and all of it has been had: do not come back.",
        "headers": _refer_headers("Vary"),
    },
    "CreatedRun": {
        **_json_response("A run was started.", "CreatedRun"),
        "headers": {**_constant_headers(NO_STORE), **_refer_headers("Location")},
        "links": _RUN_LINKS,
    },
    "JoinedRun": {
        "description": "The events as they come; as JSON, a live run that was joined.",
        "headers": {
            "Cache-Control": _header("`no-store`, or a stream's."),
            "Location": {**HEADERS["Location"], "required": False},
        },
        "content": {**_stream_content(), **_json_content("CreatedRun")},
    },
    "Ended": {"description": "The run has ended, now or before."},
    "Health": _json_response("It lives.", "Health"),
    "Readiness": _json_response("It does.", "Readiness"),
    "Document": _json_response("The document.", "Document"),
    "Methods": {
        "description": "The methods; to a page of an admitted origin, what it may send.",
        "headers": _refer_headers("Allow"),
    },
}
"""The answers that went well, by their names."""


def answers(names: Mapping[str, str], *, with_content: bool) -> Described:
    """Return the answers of an operation by status: out of `RESPONSES`, or without content."""
    if with_content:
        return {
            status: {"$ref": f"#/components/responses/{name}"} for status, name in names.items()
        }
    return {status: _without_content(RESPONSES[name]) for status, name in names.items()}


def problems(errors: Collection[type[RequestError]], *, with_content: bool) -> Described:
    """Return the problem documents of an operation by status, the lowest first."""
    by_status: dict[int, list[type[RequestError]]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error)
    described = {str(status): _problem(by_status[status]) for status in sorted(by_status)}
    if with_content:
        return described
    return {status: _without_content(response) for status, response in described.items()}


def _problem(errors: list[type[RequestError]]) -> Described:
    schemas = [reference(error.__name__) for error in errors]
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    described: Described = {
        "description": ", or: ".join(error.title for error in errors),
        "content": {"application/problem+json": {"schema": schema}},
    }
    if all("retry_after" in error.__dataclass_fields__ for error in errors):
        described["headers"] = _refer_headers("Retry-After")
    elif _CHALLENGES.issuperset(errors):
        described["headers"] = _refer_headers("WWW-Authenticate")
    elif not _CHALLENGES.isdisjoint(errors):
        challenge = {**HEADERS["WWW-Authenticate"], "required": False}
        described["headers"] = {"WWW-Authenticate": challenge}
    return described


def _without_content(response: Described) -> Described:
    return {key: value for key, value in response.items() if key not in ("content", "links")}
