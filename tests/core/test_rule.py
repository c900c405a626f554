"""What values may be, and what is said when they are not."""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated

import pytest

from streaming.core.errors import ConfigError
from streaming.core.rule import (
    MAX_TEXT_LENGTH,
    Anything,
    Choice,
    Flag,
    Integer,
    Listing,
    Number,
    Seconds,
    Text,
    hold_to_rules,
    is_unicode,
)

POSITIVE = Number(above=0)
COUNT = Integer(at_least=1, at_most=10)
SHARE = Choice(of=(False, True, "all"))


@pytest.mark.parametrize(
    ("rule", "value", "reason"),
    [
        (POSITIVE, "x", "expected a number above 0, got 'x'"),
        (POSITIVE, 0, "expected a number above 0, got 0"),
        (POSITIVE, True, "expected a number above 0, got true"),
        (POSITIVE, math.nan, "expected a number above 0, got nan"),
        (POSITIVE, math.inf, "expected a number above 0, got inf"),
        (POSITIVE, None, "expected a number above 0, got nothing"),
        (POSITIVE, 2e9, "expected at most 1000000000, got 2000000000.0"),
        (POSITIVE, 10**400, "expected at most 1000000000, got a number"),
        (Number(at_least=0), -1, "expected a number, 0 or more, got -1"),
        (COUNT, 0, "expected an integer above 0, got 0"),
        (COUNT, 1.0, "expected an integer above 0, got 1.0"),
        (COUNT, True, "expected an integer above 0, got true"),
        (COUNT, 11, "expected at most 10, got 11"),
        (Integer(), -1, "expected an integer, 0 or more, got -1"),
        (Flag(), 1, "expected true or false, got 1"),
        (Flag(), "true", "expected true or false, got 'true'"),
        (Text(), 3, "expected a string, got 3"),
        (Text(), datetime.now(UTC), "expected a string, got a date or time"),
        (Text(), date(2024, 2, 29), "expected a string, got a date or time"),
        (Text(), time(), "expected a string, got a date or time"),
        (Text(), {}, "expected a string, got a table"),
        (Text(), "\ud800", "is not valid Unicode: it has a lone surrogate"),
        (Text(), "x" * (MAX_TEXT_LENGTH + 1), "is longer than 100000 characters"),
        (Text(pattern="[a-z]+", noun="a word"), "A", "expected a word, got 'A'"),
        (Text(pattern="a", noun="an a"), "a\n", "expected an a, got 'a\\n'"),
        (Text(pattern="a", noun="an a"), "b" * 61, "expected an a, got a string of 61 characters"),
        (SHARE, 1, "expected one of false, true, 'all', got 1"),
        (SHARE, [], "expected one of false, true, 'all', got a list"),
        (Listing(item=COUNT), 3, "expected a list, got 3"),
        (Listing(item=COUNT, at_least=1), [], "expected a list that is not empty, got a list"),
        (Text(from_environment=True), 31337, "expected a string, got a number"),
        (Choice(of=("a",), from_environment=True), "b", "expected one of 'a', got another string"),
        (Choice(of=("a",), from_environment=True), "", "expected one of 'a', got an empty string"),
    ],
)
def test_a_value_that_breaks_its_rule_is_refused_in_words(rule, value, reason):
    """A refusal says what was expected and, where it is no secret, what came."""
    with pytest.raises(ConfigError) as raised:
        rule.check(value)
    assert (raised.value.path, raised.value.reason) == ("", reason)


@pytest.mark.parametrize(
    ("rule", "value", "kept"),
    [
        (POSITIVE, 1, 1.0),
        (POSITIVE, 1e9, 1e9),
        (Number(at_least=0), 0, 0.0),
        (COUNT, 10, 10),
        (Flag(), False, False),
        (Text(), "é", "é"),
        (SHARE, True, True),
        (Listing(item=COUNT), [1, 2], (1, 2)),
        (Listing(item=COUNT), (), ()),
        (Anything(), ..., ...),
    ],
)
def test_a_value_within_its_rule_is_kept_in_one_form(rule, value, kept):
    """Integers become floats where a float belongs, lists become tuples."""
    checked = rule.check(value)
    assert (checked, type(checked)) == (kept, type(kept))


def test_a_list_says_which_item_is_wrong():
    """The path of a mistake in a list ends with its index."""
    with pytest.raises(ConfigError) as raised:
        Listing(item=COUNT).check([1, 0])
    assert raised.value.path == "[1]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Oven:
    """Two rules and a field without one."""

    heat: Seconds = 1.0
    timer: Seconds | None = None
    count: Annotated[int, Integer()] | None = 1
    color: str = "red"

    def __post_init__(self) -> None:
        hold_to_rules(self)


def test_an_object_keeps_its_fields_as_their_rules_say():
    """A field is converted in place, and None passes where the type admits it."""
    assert repr(Oven(heat=2)) == "Oven(heat=2.0, timer=None, count=1, color='red')"


@pytest.mark.parametrize(("field", "value"), [("heat", None), ("timer", 0), ("count", -1)])
def test_an_object_names_the_field_that_breaks_its_rule(field, value):
    """The path of the error is the field's name."""
    with pytest.raises(ConfigError) as raised:
        Oven(**{field: value})
    assert raised.value.path == field


@pytest.mark.parametrize(("text", "expected"), [("a", True), ("é😀", True), ("\udcff", False)])
def test_lone_surrogates_are_not_unicode(text, expected):
    """What UTF-8 cannot write is told apart from what it can."""
    assert is_unicode(text) is expected
