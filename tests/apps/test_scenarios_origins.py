"""Requests that another site's page had a browser send, on both applications."""

import pytest

from tests.viewing import ask, problem

FRIEND = "https://friend.example"

STARTING = [
    ("GET", "/feeds/quick"),
    ("GET", "/feeds/quick?format=json"),
    ("POST", "/feeds/quick"),
    ("DELETE", "/runs/x"),
]


def send(url, method, path, key, headers):
    more = {"json": {"key": key}} if method == "POST" else {}
    if method == "GET":
        more = {"params": {**({"format": "json"} if "json" in path else {}), "key": key}}
    return ask(url, path, method=method, headers=headers, **more)


@pytest.mark.parametrize(("method", "path"), STARTING)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://[::1"},
        {"Origin": "x"},
        {"Origin": "https://friend.example.evil.example"},
    ],
)
def test_another_site_starts_nothing(url, upstreams, key, method, path, headers):
    """What another site sends is 403, before any upstream is called."""
    response = send(url, method, path, key, headers)
    assert response.status_code == 403
    problem(response)
    assert "access-control-allow-origin" not in response.headers
    assert not upstreams.calls[f"/json/{key}-a"]


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none"])
def test_this_site_may_start(url, key, site):
    """What a browser says of the page itself, and of an address that was typed in, passes."""
    headers = {"Sec-Fetch-Site": site}
    assert send(url, "GET", "/feeds/quick", key, headers).status_code == 200


def test_the_own_origin_may_start(served, key):
    """A page of this host sends its origin with a POST."""
    response = send(served.base_url, "POST", "/feeds/quick", key, {"Origin": served.base_url})
    assert response.status_code == 201


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_admitted_origin_may_start_and_read(url, key, method):
    """An origin of `cors_origins` starts runs, and its page may read the answer."""
    headers = {"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"}
    response = send(url, method, "/feeds/quick", key, headers)
    assert response.status_code in (200, 201)
    assert response.headers["access-control-allow-origin"] == FRIEND
    assert "Origin" in response.headers.get_list("vary", split_commas=True)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/feeds/none", 404),
        ("GET", "/nowhere", 404),
        ("PUT", "/feeds/quick", 405),
        ("POST", "/feeds/quick", 415),
    ],
)
def test_an_admitted_origin_may_read_a_problem(url, method, path, status):
    """A page has to see what is wrong with its request, whoever finds it."""
    response = ask(url, path, method=method, headers={"Origin": FRIEND})
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (
        status,
        FRIEND,
    )


def preflight(url, origin, method="POST"):
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    return ask(url, "/feeds/quick", method="OPTIONS", headers=headers)


def test_preflight_of_an_admitted_origin(url):
    """A browser that asks before is told the methods and headers."""
    response = preflight(url, FRIEND)
    assert response.status_code in (200, 204)
    assert response.headers["access-control-allow-origin"] == FRIEND
    assert "POST" in response.headers["access-control-allow-methods"]
    allowed = response.headers["access-control-allow-headers"].lower()
    assert "content-type" in allowed
    assert "last-event-id" in allowed


def test_preflight_of_another_origin(url):
    """Another origin is allowed nothing."""
    names = preflight(url, "https://evil.example").headers
    assert not [name for name in names if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/feeds", "/feeds/one", "/runs/x", "/healthz"])
def test_options_says_the_methods(url, path):
    """OPTIONS lists what a path takes, for any feed or run."""
    response = ask(url, path, method="OPTIONS")
    assert response.status_code in (200, 204)
    assert {"GET", "HEAD", "OPTIONS"} <= set(response.headers["allow"].split(", "))
