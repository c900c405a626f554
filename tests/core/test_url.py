"""URLs: their parts, their origin, and what may stand in them."""

import pytest

from streaming.core.url import (
    Origin,
    encode_path,
    encode_query,
    encode_value,
    has_control,
    is_dot_segment,
    parse_url,
)


@pytest.mark.parametrize(
    ("text", "origin", "path", "query"),
    [
        ("http://a", "http://a", "", None),
        ("HTTP://A.Example:80/B?c=D", "http://a.example", "/B", "c=D"),
        ("https://a:8443?", "https://a:8443", "", ""),
        ("https://[::1]:443/x?y?z", "https://[::1]", "/x", "y?z"),
        ("http://under_score.", "http://under_score.", "", None),
    ],
)
def test_a_url_is_cut_in_parts(text, origin, path, query):
    """Scheme and host are in lower case, the scheme's own port is left out."""
    url = parse_url(text)
    assert (str(url.origin), url.path, url.query, url.has_fragment) == (origin, path, query, False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.example/x",
        "//a.example/x",
        "/x",
        "ftp://a.example",
        "http:a.example",
        "http:///x",
        "http://me@a.example",
        "http://a b",
        "http://a\\b",
        "http://-a",
        "http://ä.example",
        "http://a%2eexample",
        "http://a:",
        "http://a:0",
        "http://a:65536",
        "http://a:8x",
        "http://[::1",
        "http://[::1%25eth0]",
        "http://[1.2.3.4]",
        "http://" + "a" * 254,
    ],
)
def test_what_two_libraries_could_read_differently_is_refused(text):
    """Only an absolute http or https URL without user is taken."""
    with pytest.raises(ValueError, match=r"has|expected"):
        parse_url(text)


def test_a_user_is_passed_over_where_one_may_stand():
    """The origin of a proxy's URL is the one behind its password."""
    url = parse_url("http://me:p@ss@proxy:3128", with_userinfo=True)
    assert url.origin == Origin("http", "proxy", 3128)


@pytest.mark.parametrize(
    ("written", "in_path", "in_query"),
    [
        ("a/b;c=d:@,e", "a/b;c=d:@,e", "a/b;c=d:@,e"),
        ("a b|é", "a%20b%7C%C3%A9", "a%20b%7C%C3%A9"),
        ("%41%zz%", "%41%25zz%25", "%41%25zz%25"),
        ('?"<>[]{}#', "%3F%22%3C%3E%5B%5D%7B%7D%23", "?%22%3C%3E%5B%5D%7B%7D%23"),
    ],
)
def test_written_text_stays_but_for_what_no_url_has(written, in_path, in_query):
    """What was encoded stays so, and a stray percent sign is encoded."""
    assert (encode_path(written), encode_query(written)) == (in_path, in_query)


def test_of_a_value_only_the_unreserved_stay():
    """All that could mean something in a URL is encoded (RFC 3986 section 2.3)."""
    assert encode_value("aZ0-._~/?&=+;:@%é") == "aZ0-._~%2F%3F%26%3D%2B%3B%3A%40%25%C3%A9"


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        (".", True),
        ("..", True),
        ("%2e", True),
        (".%2E", True),
        ("..;x=1", True),
        ("", False),
        ("...", False),
        (".a", False),
        ("%252e", False),
    ],
)
def test_dot_segments_are_known_in_every_form(segment, expected):
    """A server's ways of writing `.` and `..` are all told apart from names."""
    assert is_dot_segment(segment) is expected


@pytest.mark.parametrize(("text", "expected"), [("a\x85", True), ("\x7f", True), ("é \xa0", False)])
def test_control_characters_are_those_of_unicode(text, expected):
    """C0, C1 and DEL are controls; spaces and letters are not."""
    assert has_control(text) is expected
