"""Where a token stands in a request, and what cannot be one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.bearer import MAX_TOKEN_BYTES, find_token
from streaming.core.errors_request import InvalidToken
from streaming.core.message import Request

NAMED = ("https://app.example",)


def found(query: str | None = None, /, cors_origins: tuple[str, ...] = (), **headers: str):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(
        method="GET",
        query=() if query is None else (("access_token", query),),
        headers={"host": "api.example", **named},
    )
    return find_token(request, cookie="fan", cors_origins=cors_origins)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_in_the_header(scheme):
    """The scheme is written in any case (RFC 9110 section 11.1)."""
    assert found(authorization=f"{scheme} abc") == "abc"


def test_in_the_query():
    """EventSource can set no header."""
    assert found("abc") == "abc"


@pytest.mark.parametrize("cookie", ["fan=abc", "a=b; fan=abc; c=d", 'x=1;fan="abc"', "fan=abc=="])
def test_in_the_cookie(cookie):
    """Among others, in quotes or without."""
    assert found(cookie=cookie).rstrip("=") == "abc"


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Basic YTpi"}, {"cookie": "fans=abc"}, {"cookie": "fan"}],
)
def test_none(headers):
    """Another scheme and another cookie carry no token of ours."""
    assert found(**headers) is None


def test_the_header_before_the_query_before_the_cookie():
    """One that was set on purpose goes before what a browser adds by itself."""
    assert found("q", authorization="Bearer h", cookie="fan=c") == "h"
    assert found("q", authorization="Basic x", cookie="fan=c") == "q"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"origin": "https://evil.example"},
        {"origin": "https://app.example"},
        {"sec_fetch_site": "same-site"},
        {"referer": "http://evil.example/page"},
        {"sec_fetch_site": "same-site", "referer": "http://api.example/"},
    ],
)
def test_a_cookie_that_another_site_had_sent(headers):
    """A browser adds it whoever asks, so that it says nothing, under `*` as well."""
    assert found(cookie="fan=abc", **headers) is None
    assert found(cookie="fan=abc", cors_origins=("*",), **headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
        {"origin": "https://api.example"},
        {"referer": "http://api.example/page?x=http://evil.example/"},
    ],
)
def test_a_cookie_that_was_sent_from_here(headers):
    """By a page of this host, by who typed the address in, or by a program."""
    assert found(cookie="fan=abc", **headers) == "abc"


def test_a_cookie_that_a_named_origin_had_sent():
    """An origin that the configuration names may act for its visitors."""
    headers = {"origin": NAMED[0], "sec_fetch_site": "cross-site"}
    assert found(cookie="fan=abc", cors_origins=NAMED, **headers) == "abc"


def test_no_cookie_is_taken():
    """Where the configuration names no cookie there is none."""
    request = Request(method="GET", headers={"cookie": "=abc; fan=abc"})
    assert find_token(request, cookie="", cors_origins=()) is None


def test_too_long():
    """What is beyond the bound is refused before anybody looks into it."""
    assert found("a" * MAX_TOKEN_BYTES)
    with pytest.raises(InvalidToken, match="longer than 8192 bytes"):
        found("a" * (MAX_TOKEN_BYTES + 1))


@given(st.text(min_size=1, max_size=50))
def test_any_text(text):
    """Whatever stands there is a token by its characters, or refused."""
    try:
        token = found(text)
    except InvalidToken:
        return
    assert token is None or (token == text and token.isascii() and token.isprintable())
