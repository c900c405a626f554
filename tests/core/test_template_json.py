"""Templates of JSON bodies."""

import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core import codec
from streaming.core.errors import ConfigError
from streaming.core.template_json import MAX_DEPTH, parse_json_template


@pytest.mark.parametrize(
    ("body", "params", "encoded"),
    [
        ({}, {}, b"{}"),
        ({"a": "{n}"}, {"n": 3}, b'{"a":3}'),
        ({"a": "{n}"}, {"n": True}, b'{"a":true}'),
        ({"a": "{n}"}, {"n": "3"}, b'{"a":"3"}'),
        ({"a": "{n}!"}, {"n": 3}, b'{"a":"3!"}'),
        ({"a": "{n}{n}"}, {"n": 3}, b'{"a":"33"}'),
        ({"a": "{{n}}"}, {}, b'{"a":"{n}"}'),
        ({"{n}": 1}, {"n": 3}, b'{"{n}":1}'),
        ([{"a": ["{s}", 1, 2.5, True, None]}], {"s": '"\n'}, b'[{"a":["\\"\\n",1,2.5,true,null]}]'),
        ("{s}", {"s": "x"}, b'"x"'),
        ({"a": ()}, {}, b'{"a":[]}'),
    ],
)
def test_strings_are_filled_in_at_any_depth(body, params, encoded):
    """A gap alone keeps the parameter's type, others make text; keys stay."""
    assert parse_json_template(body).render(params) == encoded


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_no_value_leaves_its_string(value):
    """Whatever is filled in, the body's form stays."""
    body = parse_json_template({"a": "<{s}>", "b": "{s}"}).render({"s": value})
    assert codec.decode(body) == {"a": f"<{value}>", "b": value}


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        ({"a": [1, math.nan]}, "a[1]", "expected a finite number, got nan"),
        ({"a": -math.inf}, "a", "expected a finite number, got -inf"),
        ({"a": {"b c": date(2024, 1, 1)}}, 'a."b c"', "expected what JSON can say, got date"),
        ({"a": "}"}, "a", "has a '}' that is not part of {name}; double it: }}"),
        ({"a": "\ud800"}, "a", "is not valid Unicode: it has a lone surrogate"),
        ({"a": {1: 2}}, "a", "has a key that is not a string, or not valid Unicode"),
        ({"[0]": b""}, '"[0]"', "expected what JSON can say, got bytes"),
    ],
)
def test_what_json_cannot_say_is_refused_where_it_stands(body, path, reason):
    """The path leads to the value, through tables and lists."""
    with pytest.raises(ConfigError) as raised:
        parse_json_template(body)
    assert (raised.value.path, raised.value.reason) == (path, reason)


def test_a_body_is_not_nested_without_end():
    """A body deeper than the bound is refused, not recursed into."""
    body = []
    for _ in range(MAX_DEPTH + 1):
        body = [body]
    with pytest.raises(ConfigError, match="nested deeper than"):
        parse_json_template(body)


def test_gaps_are_listed_with_the_way_to_them():
    """Whoever knows the parameters can say where an unknown one stands."""
    template = parse_json_template({"a": [0, "{x} {y}"], "b": "{x}"})
    assert template.uses == ((("a", 1), "x"), (("a", 1), "y"), (("b",), "x"))


def test_the_repr_shows_the_names_alone():
    """A key may stand in a body."""
    assert "hunter2" not in repr(parse_json_template({"a": "hunter2 {x}"}))


def test_a_body_does_not_change_with_what_it_was_made_of():
    """A list that its maker goes on using is not the body's."""
    items = ["{x}"]
    template = parse_json_template(items)
    items.append("later")
    assert template.render({"x": 1}) == b"[1]"
