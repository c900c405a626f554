"""Calls, and where redirects lead them."""

import pytest

from streaming.core.call import Call, ConnectionOptions, build_call, redirect
from streaming.core.errors_request import InvalidParameter
from streaming.core.feed import Upstream

HERE = "https://a.example/dir/x?y=1"


def call(**fields):
    headers = (
        ("Accept", "*/*"),
        ("Accept-Encoding", "gzip"),
        ("accept-language", "de"),
        ("Authorization", "Bearer secret"),
        ("Content-Type", "application/json"),
        ("Cookie", "secret"),
        ("User-Agent", "fanstream"),
        ("X-Key", "secret"),
    )
    defaults = {"method": "GET", "url": HERE, "headers": headers, "body": None}
    rest = {"connect_timeout": 1.0, "options": ConnectionOptions()}
    return Call(**{**defaults, **rest, **fields})


def followed(location, *, status=302, hosts=(), **fields):
    return redirect(call(**fields), status=status, location=location, hosts=hosts)


# ------------------------------------------------------------------------ building


def test_a_call_is_filled_in():
    """Path, query, headers and body all take the parameters of the run."""
    upstream = Upstream(
        url="https://a.example/{id}?q={text}",
        method="POST",
        headers={"X-Id": "no. {id}"},
        json={"id": "{id}", "text": "<{text}>"},
        connect_timeout=2,
        proxy="http://proxy:3128",
    )
    built = build_call(upstream, {"id": 7, "text": "a b"})
    assert (built.method, built.url) == ("POST", "https://a.example/7?q=a%20b")
    assert dict(built.headers)["X-Id"] == "no. 7"
    assert built.body == b'{"id":7,"text":"<a b>"}'
    assert built.connect_timeout == 2.0
    assert built.options == ConnectionOptions(proxy="http://proxy:3128")


def test_a_call_without_configured_headers_has_the_usual_ones():
    """What is accepted follows from how the body is read."""
    assert build_call(Upstream(url=HERE, read="sse"), {}).headers == (
        ("Accept", "text/event-stream"),
        ("Accept-Encoding", "gzip, deflate"),
        ("User-Agent", "fanstream"),
    )


def test_configured_headers_win_in_any_case():
    """A configured header replaces the usual one, and never doubles it."""
    configured = {"accept": "text/csv", "CONTENT-TYPE": "application/ld+json"}
    headers = build_call(Upstream(url=HERE, headers=configured, json={}), {}).headers
    assert [(name, value) for name, value in headers if name.lower() in ("accept", "content-type")]
    assert [name.lower() for name, _ in headers] == [
        *("accept-encoding", "user-agent", "accept", "content-type"),
    ]


@pytest.mark.parametrize(("json", "body"), [(None, None), ({}, b"{}"), ([1], b"[1]")])
def test_a_body_is_sent_where_one_is_given(json, body):
    """An empty body is a body, and only a body has a type."""
    built = build_call(Upstream(url=HERE, json=json), {})
    assert built.body == body
    assert dict(built.headers).get("Content-Type") == (
        "application/json" if json is not None else None
    )


@pytest.mark.parametrize("value", ["..", "a\r\nX-B: 1"])
def test_a_value_that_a_template_refuses_names_its_parameter(value):
    """What would climb a path or end a header is the caller's mistake."""
    upstream = Upstream(url="https://a.example/{v}", headers={"X-A": "{v}"})
    with pytest.raises(InvalidParameter) as raised:
        build_call(upstream, {"v": value})
    assert raised.value.parameter == "v"


def test_the_repr_shows_no_secret():
    """A call can be logged: what may hold a secret is left out."""
    upstream = Upstream(
        url=f"{HERE}&key=hunter2", headers={"A": "hunter2"}, json="hunter2", proxy="http://hunter2"
    )
    assert "hunter2" not in repr(build_call(upstream, {}))


# ----------------------------------------------------------------------- redirects


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("https://a.example/z", "https://a.example/z"),
        ("HTTPS://A.EXAMPLE:443", "https://a.example/"),
        ("/z?w=2", "https://a.example/z?w=2"),
        ("z", "https://a.example/dir/z"),
        ("../z", "https://a.example/z"),
        ("?w=2", "https://a.example/dir/x?w=2"),
        ("//a.example/z", "https://a.example/z"),
        ("/z#part", "https://a.example/z"),
        (" /a b%20é ", "https://a.example/a%20b%20%C3%A9"),
    ],
)
def test_a_redirect_on_the_same_origin_is_followed(location, url):
    """A location is resolved against the URL that was called, and encoded."""
    target = followed(location)
    assert target is not None
    assert (target.url, target.headers) == (url, call().headers)


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        "https://b.example/",
        "https://a.example:8443/",
        "https://a.example.b.example/",
        "http://a.example/",
        "//b.example/",
        "https://me:pw@a.example/",
        "https:///z",
        "https://a.example:port/",
        "https://[::1/",
        "ftp://a.example/",
        "javascript:alert(1)",
        "/z\r\nX: 1",
        "/z\udcff",
    ],
)
def test_a_redirect_elsewhere_or_nowhere_is_not_followed(location):
    """Another origin, or what is no URL, is left to be a status."""
    assert followed(location) is None


@pytest.mark.parametrize("status", [200, 201, 300, 304, 305, 306, 404])
def test_other_statuses_are_no_redirects(status):
    """A location on another status says something else."""
    assert followed("/z", status=status) is None


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("https://b.example/z", "b.example"),
        ("https://b.example/z", "B.example:443"),
        ("https://b.example:8443/z", "b.example"),
        ("https://b.example:8443/z", "b.example:8443"),
        ("https://[::1]/z", "[::1]"),
    ],
)
def test_a_redirect_to_a_listed_host_is_followed(location, host):
    """A host is listed for every port, or with the one."""
    target = followed(location, hosts=[host])
    assert target is not None
    assert target.url == location


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("https://b.example:8443/z", "b.example:443"),
        ("https://c.b.example/z", "b.example"),
        ("http://b.example/z", "b.example"),
    ],
)
def test_a_listed_host_is_that_host_alone(location, host):
    """Neither another port, nor a host below it, nor an unencrypted way to it is meant."""
    assert followed(location, hosts=[host]) is None


def test_a_redirect_from_http_to_a_listed_host_may_stay_http():
    """Only the way down from https is barred."""
    assert followed("http://b.example/z", hosts=["b.example"], url="http://a.example/") is not None


def test_credentials_never_cross_origins():
    """Only fields in which no credentials are go to another origin."""
    target = followed("https://b.example/z", hosts=["b.example"])
    assert target is not None
    assert [name for name, _ in target.headers] == [
        *("Accept", "Accept-Encoding", "accept-language", "Content-Type", "User-Agent"),
    ]


@pytest.mark.parametrize(
    ("method", "status", "becomes"),
    [
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
        ("PUT", 302, "PUT"),
        ("PUT", 303, "GET"),
        ("DELETE", 303, "GET"),
        ("HEAD", 303, "HEAD"),
        ("GET", 302, "GET"),
    ],
)
def test_the_method_changes_as_http_says(method, status, becomes):
    """303 makes a GET, 301 and 302 of POST; 307 and 308 keep it (RFC 9110 section 15.4)."""
    target = followed("/z", status=status, method=method)
    assert target is not None
    assert target.method == becomes


def test_what_becomes_a_get_has_no_body():
    """The body goes, and the field that describes it."""
    target = followed("/z", status=303, method="POST", body=b"{}")
    assert target is not None
    assert target.body is None
    assert "Content-Type" not in dict(target.headers)


def test_what_stays_as_it_is_keeps_its_body():
    """A 307 repeats the request whole."""
    target = followed("/z", status=307, method="POST", body=b"{}")
    assert target is not None
    assert (target.body, dict(target.headers)["Content-Type"]) == (b"{}", "application/json")
