"""Templates of header fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.errors import ConfigError
from streaming.core.errors_request import InvalidParameter
from streaming.core.template_header import parse_headers, render_header


def rendered(value, **params):
    return render_header(parse_headers({"X-A": value})["X-A"], params)


@pytest.mark.parametrize(
    ("value", "params", "expected"),
    [
        ("Bearer abc", {}, "Bearer abc"),
        ("a-{n}-{b}", {"n": 3, "b": True}, "a-3-true"),
        ("{s}", {"s": "São"}, "São"),
        (" {s}", {"s": "x "}, "x"),
        ("", {}, ""),
    ],
)
def test_a_value_is_filled_in(value, params, expected):
    """Gaps are filled, and spaces around the whole are dropped."""
    assert rendered(value, **params) == expected


@pytest.mark.parametrize("char", ["\r", "\n", "\0", "\t", "\x1f", "\x7f", "\x85"])
def test_a_parameter_with_a_control_character_is_refused_by_name(char):
    """No value can end its field, wherever in the value it stands."""
    with pytest.raises(InvalidParameter) as raised:
        rendered("{a}{b}", a="fine", b=f"x{char}")
    assert raised.value.parameter == "b"


def test_a_parameter_with_half_a_surrogate_pair_is_refused_by_name():
    """UTF-8 cannot write it, and a request is written in UTF-8."""
    with pytest.raises(InvalidParameter) as raised:
        rendered("{a}{b}", a="fine", b="x\ud800")
    assert raised.value.parameter == "b"


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_no_value_injects_a_header(value):
    """Whatever is filled in is one line, or is refused."""
    try:
        text = rendered("token {a}", a=value)
    except InvalidParameter:
        return
    assert not set(text) & set("\r\n\0")


@pytest.mark.parametrize(
    ("headers", "path", "reason"),
    [
        (3, "", "expected a table of strings"),
        ({"X-A": 3}, "X-A", "expected a string, got a number"),
        ({"X-A": "s3cret\r\nX-B: 1"}, "X-A", "has a control character, such as the end of a line"),
        ({"X-A": "\ud800"}, "X-A", "is not valid Unicode: it has a lone surrogate"),
        ({"X-A": "{"}, "X-A", "has a '{' that is not part of {name}; double it: {{"),
        ({"X A": "1"}, '"X A"', "is not the name of a header field; no parameter can stand in one"),
        ({"{a}": "1"}, '"{a}"', "is not the name of a header field; no parameter can stand in one"),
        ({"Content-Length": "1"}, "Content-Length", "is set by the connection itself"),
        ({"transfer-encoding": "x"}, "transfer-encoding", "is set by the connection itself"),
        ({"A": "1", "a": "2"}, "a", "stands here twice"),
        ({"host": "{a}"}, "host", "has a parameter, which must not decide where a call goes"),
    ],
)
def test_a_mistake_is_named_without_the_value(headers, path, reason):
    """The path leads to the field, and the sentence holds nothing of its value."""
    with pytest.raises(ConfigError) as raised:
        parse_headers(headers)
    assert raised.value.path == path
    assert raised.value.reason.startswith(reason)
    assert "s3cret" not in str(raised.value)


def test_a_host_without_a_parameter_may_be_configured():
    """A name for a virtual host is no parameter's business, but may be said."""
    assert list(parse_headers({"Host": "a.example"})) == ["Host"]
