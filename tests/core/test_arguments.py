"""The parameters of a request, in its query or its body."""

import pytest

from streaming.core.arguments import check_no_arguments, json_arguments, query_arguments
from streaming.core.errors_request import (
    BodyTooLarge,
    InvalidParameter,
    UnparsableBody,
    UnsupportedMediaType,
)
from streaming.core.message import Request


def posted(body: bytes, content_type: str | None = "application/json"):
    headers = {} if content_type is None else {"content-type": content_type}
    request = Request(method="POST", headers=headers, body=body)
    return json_arguments(request, max_body_bytes=20)


def test_a_query_without_what_is_reserved():
    """What says how to answer is no parameter of a feed."""
    query = (("format", "sse"), ("city", "Oslo"), ("access_token", "x"), ("city2", ""))
    assert query_arguments(Request(method="GET", query=query)) == {"city": "Oslo", "city2": ""}


def test_one_that_is_given_twice():
    """Which of the two is meant is not guessed."""
    with pytest.raises(InvalidParameter, match="'city' is given twice"):
        query_arguments(Request(method="GET", query=(("city", "Oslo"), ("city", "Oslo"))))


def test_where_there_are_none():
    """A parameter where none is taken is not passed over."""
    check_no_arguments(Request(method="GET", query=(("ping", "event"),)))
    with pytest.raises(InvalidParameter, match="'city'"):
        check_no_arguments(Request(method="GET", query=(("city", "Oslo"),)))


def test_a_body():
    """An object, with the types that JSON gave it."""
    assert posted(b'{"n": 1}', "Application/JSON; charset=utf-8") == {"n": 1}


@pytest.mark.parametrize(
    ("body", "content_type", "error"),
    [
        (b"{}", None, UnsupportedMediaType),
        (b"{}", "text/plain", UnsupportedMediaType),
        (b" " * 21, "application/json", BodyTooLarge),
        (b"", "application/json", UnparsableBody),
        (b"[]", "application/json", UnparsableBody),
        (b'{"n": NaN}', "application/json", UnparsableBody),
        (b"\xff", "application/json", UnparsableBody),
    ],
)
def test_what_is_no_body(body, content_type, error):
    """Each has an error of its own."""
    with pytest.raises(error):
        posted(body, content_type)
