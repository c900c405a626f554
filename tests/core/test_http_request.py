"""Heads of requests, byte for byte."""

import pytest

from streaming.core.call import Call, ConnectionOptions
from streaming.core.http_request import encode_connect, encode_head, host_field, split_target
from streaming.core.url import parse_url


def a_call(method: str = "GET", *headers: tuple[str, str], body: bytes | None = None) -> Call:
    return Call(
        method=method,
        url="http://a.example/",
        headers=headers,
        body=body,
        connect_timeout=1.0,
        options=ConnectionOptions(),
    )


@pytest.mark.parametrize(
    ("url", "place", "target"),
    [
        ("http://a", "http://a", "/"),
        ("http://a/", "http://a", "/"),
        ("http://a?q=/b", "http://a", "/?q=/b"),
        ("http://a#f/b", "http://a", "/"),
        ("https://a:8/b?c?d/#e", "https://a:8", "/b?c?d/"),
        ("http://[::1]:8/%2F//../b", "http://[::1]:8", "/%2F//../b"),
    ],
)
def test_a_target_is_cut_where_the_path_begins(url: str, place: str, target: str) -> None:
    """As it stands, with a slash at its beginning, and without a fragment."""
    assert split_target(url) == (place, target)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a", "a"),
        ("http://a:80", "a"),
        ("https://a:80", "a:80"),
        ("https://A:443", "a"),
        ("http://[::1]", "[::1]"),
        ("http://[::1]:81", "[::1]:81"),
    ],
)
def test_host_has_a_port_unless_it_is_the_schemes(url: str, host: str) -> None:
    """An IPv6 address stands in its brackets."""
    assert host_field(parse_url(url).origin) == host


def test_a_head_has_host_and_what_the_call_says() -> None:
    """In its order and letters, as UTF-8, twice where it stands twice."""
    call = a_call("GET", ("x-A", "1"), ("X-City", "Zürich"), ("x-A", ""))
    head = "GET /b HTTP/1.1\r\nHost: a\r\nx-A: 1\r\nX-City: Zürich\r\nx-A: \r\n\r\n"
    assert encode_head(call, "/b", host="a") == head.encode()


def test_a_host_of_the_calls_own_is_the_only_one() -> None:
    """In whatever case."""
    head = encode_head(a_call("GET", ("hOST", "b")), "/", host="a")
    assert head == b"GET / HTTP/1.1\r\nhOST: b\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("GET", None, b""),
        ("DELETE", None, b""),
        ("GET", b"", b"Content-Length: 0\r\n"),
        ("POST", None, b"Content-Length: 0\r\n"),
        ("PUT", None, b"Content-Length: 0\r\n"),
        ("PATCH", b"abc", b"Content-Length: 3\r\n"),
    ],
)
def test_a_length_is_said_where_one_is_expected(
    method: str, body: bytes | None, length: bytes
) -> None:
    """Of every body, and of none where there usually is one (RFC 9110 section 8.6)."""
    head = encode_head(a_call(method, body=body), "/", host="a")
    assert head == method.encode() + b" / HTTP/1.1\r\nHost: a\r\n" + length + b"\r\n"


@pytest.mark.parametrize("bad", ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "\ud800"])
def test_nothing_can_break_a_line(bad: str) -> None:
    """Whatever was checked above: a header cannot become two, nor a request."""
    with pytest.raises(ValueError):  # noqa: PT011 - a mistake of ours, that has no class
        encode_head(a_call("GET", ("X-A", bad)), "/", host="a")
    with pytest.raises(ValueError):  # noqa: PT011
        encode_head(a_call(), f"/{bad}", host="a")


def test_a_target_has_no_space() -> None:
    """What stands behind it would be read as the version (RFC 9112 section 3)."""
    with pytest.raises(ValueError, match="space"):
        encode_head(a_call(), "/a b", host="a")


def test_a_tunnel_is_asked_for_by_host_and_port() -> None:
    """Also where the port is the scheme's (RFC 9110 section 9.3.6)."""
    request = encode_connect(parse_url("https://a").origin, more="X: y\r\n")
    assert request == b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nX: y\r\n\r\n"
