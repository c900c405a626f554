"""Upstreams as they are configured."""

import math

import pytest

from streaming.core.errors import ConfigError
from streaming.core.upstream import Upstream

URL = "https://api.example/v1"


def test_the_defaults_are_the_contracts():
    """What is not said is what the contract shows."""
    upstream = Upstream(url=URL)
    shown = {
        "method": "GET",
        "headers": {},
        "json": None,
        "read": "json",
        "idempotent": False,
        "connect_timeout": 5.0,
        "first_byte_timeout": 10.0,
        "idle_timeout": 10.0,
        "retry_statuses": (429, 502, 503, 504),
        "backoff": 0.1,
        "max_backoff": 2.0,
        "ok_statuses": ("2xx",),
        "effective_max_bytes": 1048576,
        "max_piece_bytes": 65536,
        "follow_redirects": False,
        "redirect_hosts": (),
        "ca_file": "",
        "verify": True,
        "proxy": "",
        "trust_env": False,
    }
    assert {name: getattr(upstream, name) for name in shown} == shown


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"url": 1}, "url"),
        ({"url": "api.example"}, "url"),
        ({"method": "get"}, "method"),
        ({"method": "{m}"}, "method"),
        ({"method": "CONNECT"}, "method"),
        ({"method": "GET /x"}, "method"),
        ({"headers": []}, "headers"),
        ({"headers": {"A": 1}}, "headers.A"),
        ({"json": {"a": math.inf}}, "json.a"),
        ({"json": {"a": ["{"]}}, "json.a[0]"),
        ({"read": "xml"}, "read"),
        ({"idempotent": 1}, "idempotent"),
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"first_byte_timeout": -1}, "first_byte_timeout"),
        ({"idle_timeout": math.inf}, "idle_timeout"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "x"}, "timeout"),
        ({"retries": -1}, "retries"),
        ({"retries": 101}, "retries"),
        ({"retries": True}, "retries"),
        ({"retry_statuses": 503}, "retry_statuses"),
        ({"retry_statuses": [503, 99]}, "retry_statuses[1]"),
        ({"backoff": -0.1}, "backoff"),
        ({"max_backoff": math.nan}, "max_backoff"),
        ({"ok_statuses": []}, "ok_statuses"),
        ({"ok_statuses": ["2xx", "ok"]}, "ok_statuses[1]"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"max_piece_bytes": 0}, "max_piece_bytes"),
        ({"max_piece_bytes": 16_777_217}, "max_piece_bytes"),
        ({"follow_redirects": "yes"}, "follow_redirects"),
        ({"redirect_hosts": ["a", "http://b"]}, "redirect_hosts[1]"),
        ({"ca_file": 1}, "ca_file"),
        ({"verify": 0}, "verify"),
        ({"proxy": "socks5://p"}, "proxy"),
        ({"trust_env": None}, "trust_env"),
    ],
)
def test_a_mistake_names_its_field(fields, path):
    """An upstream that cannot be is not made."""
    with pytest.raises(ConfigError) as raised:
        Upstream(**{"url": URL, **fields})
    assert raised.value.path == path


@pytest.mark.parametrize(
    ("fields", "attempts"),
    [
        ({}, 3),
        ({"method": "HEAD"}, 3),
        ({"method": "PUT"}, 3),
        ({"method": "DELETE"}, 3),
        ({"method": "POST"}, 1),
        ({"method": "PATCH"}, 1),
        ({"method": "POST", "idempotent": True}, 3),
        ({"method": "POST", "retries": 1}, 2),
        ({"retries": 0}, 1),
    ],
)
def test_the_number_of_attempts_follows_from_the_method_unless_said(fields, attempts):
    """Two retries where the call is repeatable, none otherwise; what is said counts."""
    assert Upstream(url=URL, **fields).max_attempts == attempts


def test_retries_do_not_make_a_call_repeatable():
    """Whether a run may be started again unasked is another question."""
    assert not Upstream(url=URL, method="POST", retries=2).is_repeatable


@pytest.mark.parametrize(
    ("ok_statuses", "ok", "not_ok"),
    [
        (("2xx",), [200, 299], [199, 300, 404]),
        (["2xx", "404"], [204, 404], [403]),
        ([200, "3xx"], [200, 302], [201, 400]),
    ],
)
def test_statuses_are_ok_as_configured(ok_statuses, ok, not_ok):
    """Classes, strings and integers all say which bodies are results."""
    upstream = Upstream(url=URL, ok_statuses=ok_statuses)
    assert [upstream.is_ok(status) for status in ok + not_ok] == [True] * len(ok) + [False] * len(
        not_ok
    )


@pytest.mark.parametrize(
    ("read", "given", "effective"),
    [
        ("text", None, 1048576),
        ("bytes", 10, 10),
        ("sse", None, None),
        ("stream", None, None),
        ("lines", 10, 10),
    ],
)
def test_a_stream_is_bounded_only_where_it_is_said(read, given, effective):
    """A body that is read whole always has a bound."""
    assert Upstream(url=URL, read=read, max_bytes=given).effective_max_bytes == effective


def test_the_repr_shows_no_secret():
    """Keys stand in URLs, headers, bodies and proxies, and in no log."""
    upstream = Upstream(
        url=f"{URL}?key=hunter2",
        headers={"Authorization": "Bearer hunter2"},
        json={"key": "hunter2"},
        proxy="http://me:hunter2@proxy",
        ca_file="/hunter2",
    )
    assert "hunter2" not in repr(upstream) + repr(upstream.options)


def test_headers_cannot_be_changed_afterwards():
    """An upstream is what it was made of."""
    headers = {"A": "1"}
    upstream = Upstream(url=URL, headers=headers)
    headers["B"] = "2"
    assert upstream.headers == {"A": "1"}
    with pytest.raises(TypeError):
        upstream.headers["B"] = "2"


def test_equal_fields_make_equal_upstreams():
    """What is parsed from the fields takes no part in the comparison."""
    assert Upstream(url=URL) == Upstream(url=URL)
    assert Upstream(url=URL) != Upstream(url=URL, json={})
