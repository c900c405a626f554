"""Templates of URLs."""

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.errors_request import InvalidParameter
from streaming.core.template_url import parse_url_template

TEXT = st.text(alphabet=st.characters(codec="utf-8"))
NASTY = st.text(alphabet="./\\?#@:;%2eE&=+ \r\n[]{}") | TEXT


@pytest.mark.parametrize(
    ("template", "params", "url"),
    [
        ("http://a", {}, "http://a/"),
        ("http://a?x={v}", {"v": 1}, "http://a/?x=1"),
        ("HTTPS://A.example:443/B", {}, "https://a.example/B"),
        ("http://a:8001/{v}/c", {"v": "x y/z"}, "http://a:8001/x%20y%2Fz/c"),
        ("http://a/{v}", {"v": ""}, "http://a/"),
        ("http://a/{v}/", {"v": "São"}, "http://a/S%C3%A3o/"),
        ("http://a/p-{v}.json?q={w}&r={v}", {"v": 1, "w": "&="}, "http://a/p-1.json?q=%26%3D&r=1"),
        ("http://a/%7Ex?y=%20", {}, "http://a/%7Ex?y=%20"),
        ("http://a/b c/{{d}}?é=[1]", {}, "http://a/b%20c/%7Bd%7D?%C3%A9=%5B1%5D"),
        ("http://a/100%?x=%{v}", {"v": "41"}, "http://a/100%25?x=%2541"),
        ("http://a/?x={v}&y={w}", {"v": True, "w": 0.5}, "http://a/?x=true&y=0.5"),
        ("http://a/?x={v}", {"v": ".."}, "http://a/?x=.."),
        ("http://a/?{v}", {"v": ".."}, "http://a/?.."),
        ("http://a/?..", {}, "http://a/?.."),
        ("http://a/x{v}", {"v": ".."}, "http://a/x.."),
        ("http://a/{v}", {"v": "%2e%2e"}, "http://a/%252e%252e"),
        ("http://a//{v}//", {"v": "b"}, "http://a//b//"),
    ],
)
def test_a_url_is_filled_in(template, params, url):
    """Written text is passed as it is, a value is percent-encoded wherever it stands."""
    assert parse_url_template(template).render(params) == url


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("http://a/{v}", "."),
        ("http://a/{v}/b", ".."),
        ("http://a/.{v}", "."),
        ("http://a/{v}.", "."),
        ("http://a/%2e{v}", "."),
        ("http://a/%2E{v}?x=1", ""),
        ("http://a/{v};x=1", ".."),
    ],
)
def test_a_value_that_makes_a_dot_segment_is_refused_by_name(template, value):
    """A path never climbs, also where text and value make the dots together."""
    with pytest.raises(InvalidParameter) as raised:
        parse_url_template(template).render({"v": value})
    assert raised.value.parameter == "v"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{base}/x", "parameter in scheme, host or port"),
        ("{s}://a/x", "parameter in scheme, host or port"),
        ("http://{h}/x", "parameter in scheme, host or port"),
        ("http://a{h}/x", "parameter in scheme, host or port"),
        ("http://a:{p}/x", "parameter in scheme, host or port"),
        ("http://{u}@a/x", "parameter in scheme, host or port"),
        ("http://a{q}?x", "parameter in scheme, host or port"),
        ("/x?y={v}", "expected an absolute URL"),
        ("a.example/x", "expected an absolute URL"),
        ("file:///etc/passwd", "expected an absolute URL"),
        ("", "expected an absolute URL"),
        ("http://me:pw@a/x", "in a header"),
        ("http:///x", "no host"),
        ("http://a:99999/x", "port"),
        ("http://a/x#y", "fragment"),
        ("http://a/x#{v}", "fragment"),
        ("http://a/x\n", "control character"),
        ("http://a/\0{v}", "control character"),
        ("http://a/../x", "path segment"),
        ("http://a/x/%2e?y={v}", "path segment"),
        ("http://a/{", "double it"),
    ],
)
def test_what_is_no_template_of_a_url_is_refused(template, reason):
    """A mistake is found when the configuration is read."""
    with pytest.raises(ValueError, match=reason):
        parse_url_template(template)


@given(NASTY, NASTY, NASTY)
def test_no_value_moves_a_border_between_parts(first, second, third):
    """Scheme, host, port, the number of segments and of fields stay, whatever is filled in."""
    template = parse_url_template("http://a.example:81/x/{a}/-{b}/y?k={b}&l={c}")
    try:
        url = urlsplit(template.render({"a": first, "b": second, "c": third}))
    except InvalidParameter:
        return
    assert (url.scheme, url.netloc, url.fragment) == ("http", "a.example:81", "")
    assert [unquote(part) for part in url.path.split("/")] == ["", "x", first, f"-{second}", "y"]
    assert [unquote(part) for part in url.query.split("&")] == [f"k={second}", f"l={third}"]


@given(NASTY)
def test_a_url_is_printable_ascii(value):
    """No value puts a space, a control or another script into the line of a request."""
    try:
        url = parse_url_template("http://a/{v}?{v}").render({"v": value})
    except InvalidParameter:
        return
    assert all("!" <= char <= "~" for char in url)


def test_the_repr_shows_origin_and_names_alone():
    """A key may stand in the query."""
    template = parse_url_template("http://a/x?key=hunter2&y={v}")
    assert repr(template) == "UrlTemplate(origin='http://a', names=('v',))"
