"""Requests and replies as values: what a request was given, and how problems are written."""

import json

import pytest

from streaming.core.errors_request import Draining, InvalidParameter, NotAcceptable, UnknownFeed
from streaming.core.message import (
    STREAM_HEADERS,
    Request,
    join_fields,
    json_reply,
    problem,
    problem_reply,
)

HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}


def test_header_by_its_lower_case_name() -> None:
    """A header is had by its name; one that was not sent is None."""
    request = Request(method="GET", headers={"accept": "*/*"})
    assert (request.header("accept"), request.header("origin")) == ("*/*", None)


def test_fields_of_one_name() -> None:
    """They are one list, and pairs of a cookie are one cookie."""
    fields = [("Accept", "a"), ("Cookie", "b=1"), ("accept", "c"), ("cookie", "d=2")]
    assert join_fields(fields) == {"accept": "a, c", "cookie": "b=1; d=2"}


def test_last_value_of_the_query() -> None:
    """Of a name that comes twice the last value counts; one that was not given is None."""
    request = Request(method="GET", query=(("a", "1"), ("b", "2"), ("a", "3"), ("c", "")))
    assert [request.query_value(name) for name in "abcd"] == ["3", "2", "", None]


def test_json_reply() -> None:
    """A document is one line of JSON that nobody may keep."""
    reply = json_reply({"a": "é"}, status=201)
    assert (reply.status, reply.body) == (201, '{"a":"é"}\n'.encode())
    assert dict(reply.headers) == {"Content-Type": "application/json", "Cache-Control": "no-store"}


def test_problem_of_an_error() -> None:
    """A problem says what kind it is, the sentence, and the facts."""
    reply = problem_reply(InvalidParameter("name", "is too long"))
    assert reply.status == 422
    assert dict(reply.headers)["Content-Type"] == "application/problem+json"
    assert json.loads(reply.body) == {
        "type": "urn:fanstream:invalid-parameter",
        "title": "Invalid parameter",
        "status": 422,
        "detail": "parameter 'name' is too long",
        "parameter": "name",
        "reason": "is too long",
    }


def test_problem_with_a_list() -> None:
    """Facts of several values are a list."""
    assert json.loads(problem_reply(NotAcceptable(("sse", "json"))).body)["available"] == [
        "sse",
        "json",
    ]


def test_problem_says_when_to_come_back() -> None:
    """Where there is a time to wait it is a header too."""
    assert ("Retry-After", "3") in problem_reply(Draining(retry_after=3)).headers
    assert "Retry-After" not in dict(problem_reply(UnknownFeed("a")).headers)


@pytest.mark.parametrize("name", ["", 'a"b', "<script>", "é\u2028", "a\r\nX: 1", "\0", "x" * 5000])
def test_problem_of_any_name(name: str) -> None:
    """What a client made up comes back in JSON, on one line, and in no header."""
    reply = problem_reply(UnknownFeed(name))
    assert json.loads(reply.body)["feed"] == name
    assert reply.body.count(b"\n") == 1
    assert all(len(value) < 100 for _, value in reply.headers)


def test_problem_of_a_framework() -> None:
    """A problem that is no error of ours keeps its headers."""
    reply = problem(
        kind="about:blank", title="No", status=405, detail=None, headers=(("Allow", "GET"),)
    )
    assert json.loads(reply.body) == {
        "type": "about:blank",
        "title": "No",
        "status": 405,
        "detail": None,
    }
    assert ("Allow", "GET") in reply.headers


def test_headers_of_a_stream() -> None:
    """A stream's headers are the contract's, and none is hop-by-hop."""
    assert dict(STREAM_HEADERS) == {
        "Cache-Control": "no-cache, no-transform",
        "X-Accel-Buffering": "no",
    }
    assert not {name.lower() for name, _ in STREAM_HEADERS} & HOP_BY_HOP
