"""The test upstreams that answer whole do so, rightly and wrongly as they say."""

import json
import time
from collections.abc import AsyncIterator

import pytest

from tests.upstream_answers import BIG, BIGINT_JSON, HUGE, WRONG_UTF8
from tests.upstream_asking import connected, got, got_whole
from tests.upstreams import Upstreams


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    async with Upstreams() as serving:
        yield serving


@pytest.mark.parametrize(
    ("target", "status", "content_type", "body"),
    [
        ("/status/503", 503, "application/json", b'{"status": 503}'),
        ("/status/599", 599, "application/json", b'{"status": 599}'),
        ("/empty", 204, "", b""),
        ("/nowhere", 404, "application/json", b'{"error": "no such behaviour"}'),
        ("/json-raw?text=%5B1%5D", 200, "application/json", b"[1]"),
        ("/json-raw?text=x&type=text/css", 200, "text/css", b"x"),
        ("/invalid-json", 200, "application/json", b'{"a": [1, 2'),
        ("/nan", 200, "application/json", b'{"value": NaN}'),
        ("/nan?value=-Infinity", 200, "application/json", b'{"value": -Infinity}'),
        ("/surrogate", 200, "application/json", b'{"value": "\\ud800"}'),
        ("/wrong-utf8", 200, "text/plain; charset=utf-8", WRONG_UTF8),
        ("/wrong-utf8?type=application/json", 200, "application/json", WRONG_UTF8),
        ("/latin1", 200, "text/plain; charset=iso-8859-1", b"caf\xe9"),
        ("/bigint", 200, "application/json", BIGINT_JSON.encode()),
    ],
)
async def test_answers(upstreams, target, status, content_type, body):
    """Status, content type and body are those that the behaviour's docstring names."""
    assert await got_whole(upstreams, target) == (status, content_type, body)


async def test_bigint_is_json_at_the_edge():
    """The digits, the order and the key that comes twice are in the text."""
    assert (len(BIG), len(HUGE)) == (30, 5000)
    pairs = json.loads(BIGINT_JSON, object_pairs_hook=list, parse_int=str)
    assert [key for key, _ in pairs] == ["z", "big", "huge", "a", "m", "a"]
    assert [value for _, value in pairs] == ["1", BIG, HUGE, "1", "2", "3"]


async def test_json_is_stamped_after_its_delay(upstreams):
    """The calls are counted, the value comes back, the stamp lies behind the delay."""
    asked_at = time.monotonic()
    await got(upstreams, "/json")
    _, body = await got(upstreams, "/json?delay=0.1&value=%E2%82%AC")
    answer = json.loads(body)
    assert (answer["n"], answer["value"]) == (2, "€")
    assert asked_at + 0.1 <= answer["monotonic"] <= time.monotonic()


async def test_echo_answers_the_request(upstreams):
    """Method, target, headers and body come back as JSON."""
    _, body = await got(upstreams, "/echo/%41?b=c")
    assert json.loads(body) == {
        "method": "GET",
        "target": "/echo/%41?b=c",
        "headers": [["Connection", "close"]],
        "body": "",
    }


@pytest.mark.parametrize("target", ["/status/429", "/flaky/a"])
async def test_retry_after_is_sent_where_asked(upstreams, target):
    """The header is there with its value, or not at all."""
    head, _ = await got(upstreams, f"{target}?retry_after=7")
    assert "Retry-After: 7" in head
    head, _ = await got(upstreams, target)
    assert "Retry-After" not in head


async def test_flaky_fails_by_key(upstreams):
    """Each key has its own first calls, which fail."""
    targets = ["/flaky/a?fail=2&code=502", "/flaky/a?fail=2", "/flaky/b", "/flaky/a?fail=2"]
    heads = [(await got(upstreams, target))[0] for target in targets]
    assert [head.split()[1] for head in heads] == ["502", "503", "503", "200"]


async def test_flaky_may_hang_up(upstreams):
    """Code 0 closes instead of answering."""
    assert await got(upstreams, "/flaky/a?code=0") == ("", b"")


async def test_set_cookie_sets_one(upstreams):
    """The head has a cookie."""
    head, _ = await got(upstreams, "/set-cookie")
    assert "Set-Cookie: upstream=" in head


@pytest.mark.parametrize(
    ("target", "status", "location"),
    [
        ("/redirect", "302", "Location: /json"),
        ("/redirect?code=307&to=http%3A%2F%2Fa%2F%3Fb", "307", "Location: http://a/?b"),
        ("/redirect?to=", "302", None),
        ("/redirect-chain/3", "302", "Location: /redirect-chain/2"),
        ("/redirect-chain/0", "200", None),
        ("/redirect-loop", "302", "Location: /redirect-loop"),
    ],
)
async def test_redirects(upstreams, target, status, location):
    """The status and the Location are those asked for."""
    head, _ = await got(upstreams, target)
    lines = head.split("\r\n")
    assert lines[0].split()[1] == status
    assert [line for line in lines if line.startswith("Location")] == ([location] * bool(location))


async def test_head_has_no_body(upstreams):
    """HEAD gets the head of the answer, and the connection stays in step."""
    async with connected(upstreams) as (reader, writer):
        writer.write(b"HEAD /json HTTP/1.1\r\n\r\nGET /empty HTTP/1.1\r\n\r\n")
        assert b"Content-Length: " in await reader.readuntil(b"\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 204 No Content\r\n"
