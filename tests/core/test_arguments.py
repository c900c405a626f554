"""The parameters of a request, in its query or its body."""

import pytest

from streaming.core.arguments import (
    check_json_body,
    check_no_arguments,
    json_arguments,
    query_arguments,
)
from streaming.core.errors_request import (
    BodyTooLarge,
    InvalidParameter,
    UnparsableBody,
    UnsupportedMediaType,
)
from streaming.core.message import Request


def check(**headers: str):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    check_json_body(Request(method="POST", headers=named), max_body_bytes=20)


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
    assert json_arguments(b'{"n": 1}') == {"n": 1}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"n": NaN}', b"\xff"])
def test_what_is_no_body(body):
    """It has to be a JSON object."""
    with pytest.raises(UnparsableBody):
        json_arguments(body)


@pytest.mark.parametrize("length", [{}, {"content_length": "20"}, {"content_length": "x"}])
def test_a_body_that_is_worth_reading(length):
    """It is said to be JSON, and of no more than the bound; a server looks after the rest."""
    check(content_type="Application/JSON; charset=utf-8", **length)


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, UnsupportedMediaType),
        ({"content_type": "text/plain"}, UnsupportedMediaType),
        ({"content_type": "application/json", "content_length": "21"}, BodyTooLarge),
        ({"content_type": "application/json", "content_length": "9" * 5000}, BodyTooLarge),
    ],
)
def test_a_body_that_need_not_be_read(headers, error):
    """Its headers alone say why."""
    with pytest.raises(error):
        check(**headers)
