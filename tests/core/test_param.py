"""Parameters and their values."""

import math
import re

import pytest

from streaming.core.errors import ConfigError
from streaming.core.param import Param


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "", ""),
        ("string", "3", "3"),
        ("string", "a\nb", "a\nb"),
        ("integer", "-007", -7),
        ("integer", "123456789012345678901", 123456789012345678901),
        ("number", "3", 3),
        ("number", "-2.50", -2.5),
        ("number", "1e3", 1000),
        ("boolean", "true", True),
        ("boolean", "false", False),
    ],
)
def test_text_is_bound_to_a_value_of_the_type(kind, text, value):
    """A query's text becomes what its parameter declares."""
    bound = Param(type=kind).bind(text, typed=False)
    assert (bound, bound.__class__) == (value, value.__class__)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", ""),
        ("integer", "1.0"),
        ("integer", "+1"),
        ("integer", " 1"),
        ("integer", "1_000"),
        ("integer", "٣"),
        ("number", "nan"),
        ("number", "Infinity"),
        ("number", "1e999"),
        ("number", ".5"),
        ("number", "0x10"),
        ("boolean", "True"),
        ("boolean", "1"),
        ("boolean", ""),
    ],
)
def test_text_that_is_not_of_the_type_is_refused(kind, text):
    """What Python would take, JSON would not."""
    with pytest.raises(ValueError, match="must be"):
        Param(type=kind).bind(text, typed=False)


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("string", "3", "3"),
        ("integer", 3, 3),
        ("number", 3, 3),
        ("number", 2.5, 2.5),
        ("number", 1e300, 1e300),
        ("boolean", False, False),
    ],
)
def test_a_json_value_is_bound_as_it_is(kind, given, value):
    """A typed value of the declared type passes."""
    bound = Param(type=kind).bind(given, typed=True)
    assert (bound, bound.__class__) == (value, value.__class__)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("string", 3),
        ("string", None),
        ("string", ["a"]),
        ("integer", 3.5),
        ("integer", math.inf),
        ("integer", True),
        ("integer", "3"),
        ("number", True),
        ("number", "3"),
        ("number", math.nan),
        ("number", math.inf),
        ("number", 10**400),
        ("boolean", 1),
        ("boolean", "true"),
    ],
)
def test_a_json_value_of_another_type_is_refused(kind, given):
    """A boolean is not an integer, and nothing is converted."""
    with pytest.raises(ValueError, match="must be"):
        Param(type=kind).bind(given, typed=True)


def test_a_whole_json_number_is_an_integer():
    """JSON has one kind of number: what is written 3.0 is the integer 3."""
    bound = Param(type="integer").bind(3.0, typed=True)
    assert (bound, type(bound)) == (3, int)


def test_text_and_json_are_bound_to_the_same_number():
    """Runs are compared by their parameters: 3, 3.0 and "3.0" are one number, in one form."""
    param = Param(type="number")
    bound = [param.bind(3, typed=True), param.bind(3.0, typed=True), param.bind("3.0", typed=False)]
    assert [repr(value) for value in bound] == ["3", "3", "3"]


@pytest.mark.parametrize(
    ("param", "given", "reason"),
    [
        (Param(max_length=3), "abcd", "is longer than 3 characters"),
        (Param(type="integer", max_length=3), 1234, "is longer than 3 characters"),
        (Param(type="integer"), 10**1000, "is longer than 200 characters"),
        (Param(pattern="[a-z]+"), "aB", "does not match its pattern"),
        (Param(pattern="a|ab"), "abc", "does not match its pattern"),
        (Param(pattern="a"), "a\n", "does not match its pattern"),
        (Param(type="integer", pattern="[1-9]"), 10, "does not match its pattern"),
        (Param(), "a\0", "must not have a NUL or a lone surrogate"),
        (Param(), "\ud800", "must not have a NUL or a lone surrogate"),
    ],
)
def test_a_value_outside_its_bounds_is_refused(param, given, reason):
    """Length, pattern and characters are judged on the value as text."""
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        param.bind(given, typed=True)


def test_the_length_of_a_text_counts_as_it_was_sent():
    """Zeros before a number are characters too."""
    with pytest.raises(ValueError, match="is longer than 200 characters"):
        Param(type="integer").bind("0" * 200 + "7", typed=False)


def test_an_integer_that_python_would_not_write_out_is_too_long():
    """It is judged by its bits, as writing it is refused from 4,300 digits on."""
    with pytest.raises(ValueError, match="is longer than 200 characters"):
        Param(type="integer").bind(10**5000, typed=True)


def test_a_long_text_is_refused_before_it_is_read():
    """Digits that Python would not convert are too long, not an accident."""
    with pytest.raises(ValueError, match="is longer than 10000 characters"):
        Param(type="integer", max_length=10000).bind("9" * 10001, typed=False)


def test_a_pattern_may_choose_among_all_it_could_match():
    """All of the value has to match, also where a shorter alternative would."""
    assert Param(pattern="a|ab").bind("ab", typed=False) == "ab"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"type": "int"}, "type"),
        ({"pattern": "("}, "pattern"),
        ({"pattern": 1}, "pattern"),
        ({"max_length": 0}, "max_length"),
        ({"max_length": True}, "max_length"),
        ({"label": 1}, "label"),
        ({"default": 3}, "default"),
        ({"type": "integer", "default": True}, "default"),
        ({"type": "integer", "default": "3"}, "default"),
        ({"type": "number", "default": math.nan}, "default"),
        ({"pattern": "[a-z]*", "default": "A"}, "default"),
        ({"max_length": 2, "default": "abc"}, "default"),
    ],
)
def test_a_mistake_names_its_field(fields, path):
    """A default must itself pass, a pattern must compile."""
    with pytest.raises(ConfigError) as raised:
        Param(**fields)
    assert raised.value.path == path


def test_the_defaults_are_the_contracts():
    """What is not said is what the contract shows."""
    param = Param()
    assert (param.type, param.pattern, param.max_length, param.label) == ("string", ".*", 200, "")
    assert param.is_required


@pytest.mark.parametrize("default", [False, 0, ""])
def test_a_default_that_is_empty_is_one(default):
    """Only the absence of a default makes a parameter required."""
    kind = {bool: "boolean", int: "integer", str: "string"}[default.__class__]
    assert not Param(type=kind, default=default).is_required


def test_a_parameter_describes_itself():
    """A form can be drawn from what is told."""
    assert Param(type="integer", default=3, label="How many").describe() == {
        "type": "integer",
        "pattern": ".*",
        "max_length": 200,
        "default": 3,
        "label": "How many",
    }


def test_a_required_parameter_describes_no_default():
    """A form tells a required field by the absence of a default, as the file does."""
    assert "default" not in Param().describe()
