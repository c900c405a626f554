"""The schemas of the OpenAPI document: documents and problems, beside those of `openapi_events`.

The problems are made from `errors`, by the way in which they are answered (RFC 9457).
"""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from streaming.core import codec
from streaming.core.errors_request import RequestError
from streaming.core.message import problem_reply
from streaming.core.openapi_events import (
    NUMBER,
    SECONDS,
    TEXT,
    VALUES,
    WORDS,
    Schema,
    event_schemas,
    object_schema,
    outcomes_schema,
    reference,
)

_FACT_SCHEMAS: dict[object, Schema] = {
    str: TEXT,
    int: {"type": "integer"},
    float: SECONDS,
    tuple[str, ...]: WORDS,
}
_SAMPLE_FACTS: dict[object, Any] = {str: "", int: 1, float: 1.0, tuple[str, ...]: ()}


def make_schemas(errors: Iterable[type[RequestError]]) -> dict[str, Schema]:
    """Return the schemas by their names; a problem has that of its error."""
    return {
        **_document_schemas(),
        **event_schemas(),
        "Problem": _problem_schema(),
        **{error.__name__: _error_schema(error) for error in errors},
    }


def _document_schemas() -> dict[str, Schema]:
    created = {"run": TEXT, "feed": TEXT, "params": VALUES}
    done = {"oneOf": [reference("Done"), {"type": "null"}]}
    return {
        "Run": object_schema(
            {**created, **outcomes_schema(), "done": done},
            description="A run and the outcomes of its upstreams; `done` is null while it goes on.",
        ),
        "CreatedRun": object_schema(created, description="A run that was started, or joined."),
        "Feeds": object_schema(
            {"feeds": {"type": "array", "items": reference("Feed")}, "ping_interval": SECONDS}
        ),
        "Feed": object_schema(
            {
                "name": TEXT,
                "title": TEXT,
                "params": {"type": "object", "additionalProperties": reference("Param")},
                "upstreams": WORDS,
            }
        ),
        "Param": object_schema(
            {
                "type": {"enum": ["string", "integer", "number", "boolean"]},
                "pattern": {"type": "string", "description": "Python's, and matched whole."},
                "max_length": NUMBER,
                "default": {"type": ["string", "number", "boolean"]},
                "label": TEXT,
            },
            optional=("default",),
            description="A parameter that a feed takes; without a default it is required.",
        ),
        "Health": object_schema({"status": {"const": "alive"}}),
        "Readiness": object_schema({"status": {"const": "ready"}}),
        "Document": {"type": "object", "description": "This document."},
    }


def _problem_schema() -> Schema:
    return object_schema(
        {
            "type": {"type": "string", "format": "uri-reference"},
            "title": TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": ["string", "null"]},
        },
        description="What is wrong with a request (RFC 9457).",
    )


def _error_schema(error: type[RequestError]) -> Schema:
    sample = error(**{fact.name: _SAMPLE_FACTS[fact.type] for fact in fields(error)})
    document = codec.decode(problem_reply(sample).body)
    constants = {name: {"const": document[name]} for name in ("type", "title", "status")}
    facts = {fact.name: _FACT_SCHEMAS[fact.type] for fact in fields(error)}
    return {"allOf": [reference("Problem")], **object_schema({**constants, **facts})}
