"""Parameters in the OpenAPI document: those of a feed, and those that every stream takes.

A feed's parameter has one schema for the query and for the JSON body. JSON Schema bounds the text
of strings only, so that what else is held to `max_length` and `pattern` says it in words.
"""

from collections.abc import Iterator
from typing import Any

from streaming.core.event import MAX_ID_BYTES
from streaming.core.feed import Feed
from streaming.core.negotiation import FORMATS
from streaming.core.openapi_pattern import anchored_pattern
from streaming.core.param import Param

Described = dict[str, Any]
"""A piece of the document."""

_ANY_TEXT = ".*"
_MAX_EXACT_DIGITS = 15
"""Digits of an integer that every reader of JSON holds exactly; longer bounds are left to words."""

STREAM_PARAMETERS: dict[str, Described] = {
    "format": {
        "name": "format",
        "in": "query",
        "description": "How the answer is written. It goes before `Accept`; with neither: `sse`.",
        "schema": {"type": "string", "enum": list(FORMATS)},
    },
    "ping": {
        "name": "ping",
        "in": "query",
        "description": "`event`: beats are `ping` events, which a browser's script can see.",
        "schema": {"type": "string", "enum": ["event"]},
    },
    "Last-Event-ID": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": f"The id of the last event had: resume after it. {MAX_ID_BYTES} bytes.",
        "schema": {"type": "string", "maxLength": MAX_ID_BYTES},
    },
    "last_event_id": {
        "name": "last_event_id",
        "in": "query",
        "description": "The same, for who cannot set a header, which goes before it.",
        "schema": {"type": "string", "maxLength": MAX_ID_BYTES},
    },
}
"""What is said of a stream, by the names of their components."""

ANY_PARAMETERS: Described = {
    "name": "parameters",
    "in": "query",
    "description": "The feed's own parameters, each by its name; `GET /feeds` lists them.",
    "style": "form",
    "explode": True,
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}
"""The parameters of a feed of which only the place is known."""


def query_parameters(feed: Feed) -> Iterator[Described]:
    """Give the parameters of a feed as a query has them."""
    for name, param in feed.params.items():
        yield {
            "name": name,
            "in": "query",
            **_described(param),
            "required": param.is_required,
            "schema": _schema(param),
        }


def params_schema(feed: Feed | None) -> Described:
    """Return the schema of the JSON object that holds a feed's parameters.

    Args:
        feed: The feed; None for any.
    """
    if feed is None:
        types = ["string", "number", "boolean"]
        return {"type": "object", "additionalProperties": {"type": types}}
    schema: Described = {
        "type": "object",
        "properties": {
            name: {**_described(param), **_schema(param)} for name, param in feed.params.items()
        },
        "additionalProperties": False,
    }
    required = [name for name, param in feed.params.items() if param.is_required]
    return {**schema, "required": required} if required else schema


def _schema(param: Param) -> Described:
    schema: Described = {"type": param.type}
    if param.type == "string":
        schema["maxLength"] = param.max_length
        if pattern := anchored_pattern(param.pattern):
            schema["pattern"] = pattern
    elif param.type == "integer" and param.max_length <= _MAX_EXACT_DIGITS:
        # A sign is a character too.
        schema["minimum"] = 1 - 10 ** (param.max_length - 1)
        schema["maximum"] = 10**param.max_length - 1
    return schema if param.default is None else {**schema, "default": param.default}


def _described(param: Param) -> Described:
    """Return the description, where there is anything to say."""
    said = [f"{param.label}."] if param.label else []
    if param.type != "string":
        said.append(f"At most {param.max_length} characters, written as text.")
    has_words = param.type != "string" or anchored_pattern(param.pattern) is None
    if has_words and param.pattern != _ANY_TEXT:
        said.append(f"All of its text matches Python's `{param.pattern}`.")
    return {"description": " ".join(said)} if said else {}
