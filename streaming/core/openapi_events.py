"""The schemas of what a run and its streams say, for the OpenAPI document (CONTRACT "Events").

OpenAPI 3.1 cannot say what a stream is made of. Tools have agreed that the schema of an event
stream there is that of each event; of NDJSON they know nothing, so that it is a string and its
`x-line` is the schema of each line. Objects stay open, as a client has to pass over members that it
does not know.
"""

from collections.abc import Collection
from typing import Any, get_args

from streaming.core.body import ShutdownReason
from streaming.core.errors_upstream import UpstreamError

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WORDS: Schema = {"type": "array", "items": TEXT}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "integer", "minimum": 1}
SECONDS: Schema = {"type": "number", "minimum": 0, "description": "Seconds."}
VALUES: Schema = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}

_AT: dict[str, Schema] = {"at": {**SECONDS, "description": "Seconds since the run began."}}
_ID: Schema = {"type": "string", "description": "`<run>-<n>`: where to resume."}
_UPSTREAM = {"upstream": TEXT}
_STATUS_OR_NULL: Schema = {"type": ["integer", "null"], "description": "Of the last attempt."}
_SECONDS_OR_NULL: Schema = {**SECONDS, "type": ["number", "null"]}
_CODE: Schema = {"enum": [error.code for error in UpstreamError.__subclasses__()]}
_DONE_REASONS = "finished stopped abandoned timeout limit shutdown lost failed".split()

_RESULT: dict[str, Schema] = {
    **_AT,
    "status": {"type": "integer"},
    "elapsed": SECONDS,
    "first_byte": SECONDS,
    "attempts": NUMBER,
    "content_type": {"type": ["string", "null"]},
    "body": {"description": "As the feed reads it; null for a stream."},
    "chunks": {**COUNT, "description": "Of a stream: how many there were."},
    "done": NUMBER,
    "of": NUMBER,
}
_FAILURE: dict[str, Schema] = {
    **_AT,
    "code": _CODE,
    "message": TEXT,
    "status": _STATUS_OR_NULL,
    "elapsed": _SECONDS_OR_NULL,
    "first_byte": _SECONDS_OR_NULL,
    "attempts": COUNT,
    "done": NUMBER,
    "of": NUMBER,
}


def reference(name: str) -> Schema:
    """Refer to a schema of `components`."""
    return {"$ref": f"#/components/schemas/{name}"}


def object_schema(
    properties: dict[str, Schema], *, optional: Collection[str] = (), description: str = ""
) -> Schema:
    """Return the schema of an object: all of its properties are required, or `optional`."""
    required = [name for name in properties if name not in optional]
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    return {"description": description, **schema} if description else schema


def event_schemas() -> dict[str, Schema]:
    """Return the schemas of the data of events, and those of the streams that are made of them."""
    of_a_run = {**_beginning_schemas(), **_outcome_schemas()}
    of_a_stream = _stream_event_schemas()
    names = [*of_a_run, *of_a_stream]
    lines = [_line(name, reference(_component(name))) for name in ("open", *names)]
    return {
        **{_component(name): schema for name, schema in (of_a_run | of_a_stream).items()},
        "Open": object_schema(
            {"retry_ms": COUNT, "ping_interval": SECONDS}, description="The first line of NDJSON."
        ),
        "Event": {"oneOf": [_event(name) for name in names]},
        "Line": {"oneOf": lines},
        "Lines": {
            "type": "string",
            "description": "NDJSON: a `Line` for each event.",
            "x-line": reference("Line"),
        },
        "Text": {"type": "string", "description": "A line for each event, for a person."},
    }


def outcomes_schema() -> dict[str, Schema]:
    """Return what a document of a run says of its upstreams, by their names."""
    result = object_schema(_RESULT, optional=("chunks",))
    failure = object_schema(_FAILURE)
    return {
        "results": {"type": "object", "additionalProperties": result},
        "failures": {"type": "object", "additionalProperties": failure},
    }


def _component(event: str) -> str:
    return event.capitalize()


def _line(event: str, data: Schema) -> Schema:
    return object_schema({"event": {"const": event}, "id": _ID, "data": data}, optional=("id",))


def _event(event: str) -> Schema:
    json = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": reference(_component(event)),
    }
    return _line(event, json)


def _beginning_schemas() -> dict[str, Schema]:
    attempt = {"code": _CODE, "status": _STATUS_OR_NULL, "elapsed": SECONDS, "retry_in": SECONDS}
    time = {"time": {"type": "string", "format": "date-time"}}
    return {
        "start": object_schema(
            {**_AT, "run": TEXT, "feed": TEXT, "params": VALUES, "upstreams": WORDS, **time},
            description="The first event of a run.",
        ),
        "attempt": object_schema(
            {**_AT, **_UPSTREAM, "attempt": NUMBER, **attempt},
            description="One try at an upstream has failed; another follows.",
        ),
        "chunk": object_schema(
            {**_AT, **_UPSTREAM, "n": NUMBER, "data": {}},
            description="A piece of an upstream that is read as a stream.",
        ),
    }


def _outcome_schemas() -> dict[str, Schema]:
    counts = dict.fromkeys(("ok", "failed", "cancelled"), COUNT)
    return {
        "result": object_schema(
            {**_UPSTREAM, **_RESULT},
            optional=("chunks",),
            description="An upstream has answered whole.",
        ),
        "failure": object_schema(
            {**_UPSTREAM, **_FAILURE}, description="An upstream is given up; the others go on."
        ),
        "done": object_schema(
            {**_AT, **counts, "elapsed": SECONDS, "reason": {"enum": _DONE_REASONS}},
            description="The last event of a run.",
        ),
    }


def _stream_event_schemas() -> dict[str, Schema]:
    return {
        "reset": object_schema(
            {"reason": {"enum": ["unknown", "trimmed"]}},
            description="What follows does not continue what the client has.",
        ),
        "shutdown": object_schema(
            {"reason": {"enum": list(get_args(ShutdownReason))}, "reconnect_ms": COUNT},
            description="The stream ends, though not its run: come back after so long.",
        ),
        "ping": object_schema({}, description="A beat."),
    }
