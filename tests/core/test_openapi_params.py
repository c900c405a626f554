"""Parameters in the OpenAPI document: their types, bounds and defaults."""

from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from streaming.core.feed import Feed, Param, Upstream
from streaming.core.openapi_params import params_schema, query_parameters

UPSTREAMS = {"a": Upstream(url="http://a.example/")}


def described(param: Param) -> dict[str, Any]:
    (parameter,) = query_parameters(Feed("f", params={"p": param}, upstreams=UPSTREAMS))
    return parameter


def takes(schema: dict[str, Any], value: object) -> bool:
    return bool(OAS31Validator(schema).is_valid(value))


def is_bound(param: Param, value: object) -> bool:
    try:
        param.bind(value, typed=True)
    except ValueError:
        return False
    return True


def test_all_of_a_string_parameter() -> None:
    """Length, anchored pattern and default stand in its schema, the label beside it."""
    parameter = described(Param(label="City", pattern="[a-z]+", max_length=9, default="paris"))
    assert parameter == {
        "name": "p",
        "in": "query",
        "description": "City.",
        "required": False,
        "schema": {
            "type": "string",
            "maxLength": 9,
            "pattern": "^(?:[a-z]+)$",
            "default": "paris",
        },
    }


@pytest.mark.parametrize(("default", "is_required"), [(None, True), ("", False)])
def test_required_where_there_is_no_default(default: str | None, is_required: bool) -> None:
    """An empty string is a default; None is none."""
    assert described(Param(default=default))["required"] is is_required


@pytest.mark.parametrize(
    ("param", "value"),
    [
        (Param(), "line\nline"),
        (Param(), "a\0"),
        (Param(max_length=3), "😀😀😀"),
        (Param(max_length=3), "abcd"),
        (Param(pattern="a|b"), "a"),
        (Param(pattern="a|b"), "ab"),
        (Param(type="integer", max_length=2), 99),
        (Param(type="integer", max_length=2), 100),
        (Param(type="integer", max_length=2), -9),
        (Param(type="integer", max_length=2), -10),
        (Param(type="integer", max_length=1), -1),
        (Param(type="integer"), 10**30),
        (Param(type="integer"), "1"),
        (Param(type="number"), 1.5),
        (Param(type="boolean"), True),
        (Param(type="boolean"), 1),
    ],
)
def test_the_schema_takes_what_the_parameter_takes(param: Param, value: object) -> None:
    """A value fits the schema if, and only if, it can be bound."""
    assert takes(described(param)["schema"], value) == is_bound(param, value)


def test_words_where_a_schema_has_none() -> None:
    """The text of a number is bounded in words."""
    description = described(Param(type="number", pattern="[0-9.]+", max_length=5))["description"]
    assert "At most 5 characters" in description
    assert "`[0-9.]+`" in description


def test_words_where_a_pattern_is_pythons_own() -> None:
    """A pattern without translation is no pattern of the schema."""
    parameter = described(Param(pattern="(?i)paris"))
    assert "pattern" not in parameter["schema"]
    assert "`(?i)paris`" in parameter["description"]


def test_body_requires_what_has_no_default() -> None:
    """The body's object takes the feed's parameters, and nothing else."""
    feed = Feed("f", params={"a": Param(), "b": Param(default="x")}, upstreams=UPSTREAMS)
    schema = params_schema(feed)
    assert takes(schema, {"a": "1"})
    assert not takes(schema, {"b": "1"})
    assert not takes(schema, {"a": "1", "c": "1"})


def test_body_of_any_feed() -> None:
    """Where the feed is not known, the values of a body can still only be scalars."""
    schema = params_schema(None)
    assert takes(schema, {"anything": 1.5})
    assert not takes(schema, {"anything": []})
