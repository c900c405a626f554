"""Templates of strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.template import escape, parse, to_text


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{a}", "1"),
        ("x{a}y{b}{a}", "x1y21"),
        ("{{a}}", "{a}"),
        ("{{{a}}}", "{1}"),
        ("}}{{", "}{"),
    ],
)
def test_gaps_are_filled_and_doubled_braces_are_braces(text, rendered):
    """`{name}` is a parameter; `{{` and `}}` are braces."""
    assert parse(text).render({"a": 1, "b": 2}, str) == rendered


@pytest.mark.parametrize(
    "text", ["{", "}", "{a", "a}", "{}", "{a b}", "{0}", "{a.b}", "{a!r}", "{é}"]
)
def test_any_other_brace_is_refused(text):
    """A brace is part of a name's gap, or doubled, or a mistake."""
    with pytest.raises(ValueError, match="double it"):
        parse(text)


def test_a_refused_template_shows_nothing_of_itself():
    """Text around a stray brace may be a secret."""
    with pytest.raises(ValueError, match="is not part of") as raised:
        parse("hunter2}")
    assert "hunter2" not in str(raised.value)


def test_the_repr_shows_the_names_alone():
    """The text around the gaps may be a secret."""
    assert repr(parse("hunter2 {a}")) == "Template(names=('a',))"


@given(st.text())
def test_escaped_text_stands_for_itself(text):
    """No text is template syntax once it is escaped."""
    assert parse(escape(text)).render({}, str) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (7, "7"), (2.5, "2.5"), (1e300, "1e300"), ("é", "é")],
)
def test_values_are_written_as_json_writes_them(value, text):
    """Booleans and numbers have one form in URLs and headers; strings stay."""
    assert to_text(value) == text
