"""The schemas of the OpenAPI document, held against what is really written."""

import json
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from streaming.core import codec
from streaming.core.errors_request import BodyTooLarge, NotAcceptable, RequestError, TooManyRuns
from streaming.core.feed import Feed, Param, Upstream
from streaming.core.message import problem_reply
from streaming.core.openapi import openapi_document
from streaming.core.wire import WIRES

DOCUMENT = openapi_document({})
AT = {"at": 0.1}
COUNTS = {"done": 1, "of": 2}
TIMES = {"elapsed": 0.1, "first_byte": None, "attempts": 1}
DATA: dict[str, dict[str, Any]] = {
    "start": AT
    | {
        "run": "r",
        "feed": "f",
        "params": {"a": 1},
        "upstreams": ["u"],
        "time": "2026-01-01T00:00:00Z",
    },
    "attempt": AT
    | {
        "upstream": "u",
        "attempt": 1,
        "code": "status",
        "status": 503,
        "elapsed": 0.1,
        "retry_in": 0.1,
    },
    "chunk": AT | {"upstream": "u", "n": 1, "data": {"any": []}},
    "result": AT
    | {"upstream": "u", "status": 200, "elapsed": 0.1, "first_byte": 0.1, "attempts": 1}
    | {"content_type": None, "body": [1]}
    | COUNTS,
    "failure": AT
    | {"upstream": "u", "code": "connect", "message": "m", "status": None}
    | TIMES
    | COUNTS,
    "done": AT | {"ok": 1, "failed": 0, "cancelled": 0, "elapsed": 0.1, "reason": "finished"},
    "reset": {"reason": "trimmed"},
    "shutdown": {"reason": "max_age", "reconnect_ms": 2000},
    "ping": {},
}


def fits(schema: str, value: object) -> bool:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    return bool(OAS31Validator(whole).is_valid(value))


@pytest.mark.parametrize("event", DATA)
def test_a_line_of_each_event(event: str) -> None:
    """What the NDJSON wire writes fits the schema of a line."""
    line = WIRES["ndjson"].encode(event, codec.encode(DATA[event]), id="r-1")
    assert fits("Line", json.loads(line))


@pytest.mark.parametrize("event", [name for name in DATA if DATA[name]])
def test_a_member_that_is_missed(event: str) -> None:
    """Every member of an event's data is required."""
    for name in DATA[event]:
        data = {key: value for key, value in DATA[event].items() if key != name}
        assert not fits("Line", {"event": event, "data": data}), name


def test_the_first_line() -> None:
    """The preamble of NDJSON is a line too."""
    line = WIRES["ndjson"].preamble(retry_ms=2000, ping_interval=15.0)
    assert fits("Line", json.loads(line))


@pytest.mark.parametrize("event", DATA)
def test_an_event_of_a_stream(event: str) -> None:
    """An event of an event stream has its data as text, whose schema is the same one's."""
    assert fits("Event", {"event": event, "data": json.dumps(DATA[event])})
    assert not fits("Event", {"event": event, "data": DATA[event]})


def test_no_event_is_called_error() -> None:
    """What no run says fits no schema."""
    assert not fits("Event", {"event": "error", "data": "{}"})


def test_what_is_said_of_a_feed() -> None:
    """The description of a feed fits, whatever its parameters are."""
    params = {
        "needed": Param(label="Needed"),
        "count": Param(type="integer", default=3),
        "ratio": Param(type="number", default=0.5),
        "flag": Param(type="boolean", default=False),
    }
    feed = Feed("city", params=params, upstreams={"a": Upstream(url="http://a.example/")})
    assert fits("Feed", feed.describe())


@pytest.mark.parametrize(
    "error",
    [BodyTooLarge(3), NotAcceptable(("text/plain",)), TooManyRuns(3, retry_after=5)],
    ids=lambda error: type(error).__name__,
)
def test_a_problem_is_one_of_its_kind(error: RequestError) -> None:
    """A problem document fits the schema of its own error, and no other's."""
    document = json.loads(problem_reply(error).body)
    assert fits(type(error).__name__, document)
    assert not fits("InvalidParameter", document)


def test_a_problem_without_its_facts() -> None:
    """The facts of an error are required."""
    document = json.loads(problem_reply(BodyTooLarge(3)).body)
    del document["max_bytes"]
    assert fits("Problem", document)
    assert not fits("BodyTooLarge", document)
