"""Who may run, watch and stop, on both applications, where the configuration asks for tokens."""

import time

import jwt
import pytest

from tests.apps.scenarios import FEEDS
from tests.serving import serving
from tests.viewing import ask, problem, watching

SECRET = "correct horse battery staple, twice"
FRIEND = "https://friend.example"

SERVER = f"""
[server]
cors_origins = ["{FRIEND}"]

[auth]
jwt_secret = "${{TOKENS}}"
"""


@pytest.fixture(scope="module")
def guarded(app, environment, tmp_path_factory):
    """The application with the feeds of the scenarios, for those who have a token."""
    folder = tmp_path_factory.mktemp(app)
    env = {**environment, "TOKENS": SECRET}
    with serving(app, SERVER + FEEDS, folder=folder, env=env) as running:
        yield running
        running.signal()
        assert running.wait() == 0
        assert "Traceback" not in running.log()


@pytest.fixture
def url(guarded):
    return guarded.base_url


def token(sub="ada", *, feeds=("*",), **claims):
    return jwt.encode({"sub": sub, "feeds": list(feeds), **claims}, SECRET, algorithm="HS256")


def bearer(*names, **claims):
    return {"Authorization": f"Bearer {token(*names, **claims)}"}


def start(url, feed, key, headers):
    """Start or join a run by POST, and return its id."""
    response = ask(url, f"/feeds/{feed}", method="POST", json={"key": key}, headers=headers)
    assert response.status_code in (200, 201), response.text
    return response.json()["run"]


# --------------------------------------------------------------------------- with none


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/feeds"),
        ("GET", "/feeds/quick?key=x"),
        ("HEAD", "/feeds/quick?key=x"),
        ("POST", "/feeds/quick"),
        ("GET", "/feeds/nowhere"),
        ("GET", "/runs/x"),
        ("DELETE", "/runs/x"),
        ("GET", "/openapi.json"),
    ],
)
def test_without_a_token(url, method, path):
    """All but the page and the probes is 401, which says how a token is sent (RFC 6750)."""
    response = ask(url, path, method=method)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="fanstream"'
    if method != "HEAD":
        assert problem(response)["type"] == "urn:fanstream:missing-token"


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/healthz", "/readyz"])
def test_what_everyone_may_ask(url, path):
    """The page and the probes need no token."""
    assert ask(url, path).status_code == 200


def test_a_preflight_carries_no_token(url):
    """A browser sends none, and is told that a page of an admitted origin may."""
    headers = {"Origin": FRIEND, "Access-Control-Request-Method": "GET"}
    response = ask(url, "/feeds/quick", method="OPTIONS", headers=headers)
    assert response.status_code == 204
    assert "Authorization" in response.headers["access-control-allow-headers"]
    assert response.headers["access-control-allow-credentials"] == "true"


@pytest.mark.parametrize("wrong", ["nonsense", "a.b.c", token() + "x", token(exp=1), "%00", "é"])
def test_a_token_that_is_not_valid(url, wrong):
    """It is 401 with the reason, and nothing of the token comes back."""
    response = ask(url, f"/feeds/quick?key=x&access_token={wrong}")
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]
    assert wrong not in response.text


# ------------------------------------------------------------------- where it may stand


@pytest.mark.parametrize("way", ["header", "query", "cookie"])
def test_where_a_token_may_stand(url, key, way):
    """In the header, in the query and in the cookie it is taken alike."""
    path = f"/feeds/quick?key={key}&format=ndjson"
    headers = {"header": bearer(), "query": {}, "cookie": {"Cookie": f"fanstream={token()}"}}[way]
    if way == "query":
        path += f"&access_token={token()}"
    with watching(url, path, headers=headers) as viewer:
        assert viewer.until("done").data["reason"] == "finished"


def test_a_cookie_from_an_admitted_origin(url):
    """A page whose origin is configured may have its visitors' cookie sent, and read the answer."""
    headers = {"Origin": FRIEND, "Cookie": f"fanstream={token()}"}
    response = ask(url, "/feeds", headers=headers)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == FRIEND
    assert response.headers["access-control-allow-credentials"] == "true"


def test_a_cookie_that_another_site_had_sent(url):
    """It says nothing of who is asking."""
    headers = {"Sec-Fetch-Site": "cross-site", "Cookie": f"fanstream={token()}"}
    assert ask(url, "/feeds", headers=headers).status_code == 401


# ------------------------------------------------------------------------------- rights


def test_a_feed_that_is_not_named(url, key):
    """Who may not run a feed is refused it, and does not learn whether there is one."""
    for path in (f"/feeds/quick?key={key}", "/feeds/nowhere"):
        response = ask(url, path, headers=bearer(feeds=["held"]))
        assert response.status_code == 403
        assert problem(response)["type"] == "urn:fanstream:forbidden"
        assert 'error="insufficient_scope"' in response.headers["www-authenticate"]
    assert ask(url, "/feeds/nowhere", headers=bearer()).status_code == 404


def test_the_feeds_that_one_may_run(url):
    """The list and the document have no others."""
    headers = bearer(feeds=["quick", "nowhere"])
    listed = ask(url, "/feeds", headers=headers).json()["feeds"]
    assert [feed["name"] for feed in listed] == ["quick"]
    paths = ask(url, "/openapi.json", headers=headers).json()["paths"]
    assert [path for path in paths if path.startswith("/feeds/")] == [
        "/feeds/quick",
        "/feeds/{feed}",
    ]


def test_a_run_of_another(url, key):
    """The id of a run is no right to it: it is not watched, nor resumed by others."""
    path = f"/feeds/quick?key={key}"
    run = start(url, "quick", key, bearer("ada"))
    response = ask(url, f"/runs/{run}", headers=bearer("bob"))
    assert (response.status_code, problem(response)["right"]) == (403, "watch this run")
    with watching(
        url, f"{path}&format=ndjson", headers={**bearer("bob"), "Last-Event-ID": f"{run}-1"}
    ) as viewer:
        assert viewer.until("reset").data == {"reason": "unknown"}
        assert viewer.until("start").data["run"] != run
    assert ask(url, f"/runs/{run}?format=json", headers=bearer("ada")).status_code == 200


def test_a_right_that_was_taken_away(url, key):
    """Coming back with a token that no longer names the feed, one resumes nothing."""
    path = f"/feeds/quick?key={key}"
    run = start(url, "quick", key, bearer())
    weaker = bearer(feeds=["held"])
    assert ask(url, f"/runs/{run}", headers=weaker).status_code == 403
    assert ask(url, path, headers={**weaker, "Last-Event-ID": f"{run}-1"}).status_code == 403


@pytest.mark.parametrize(("feed", "joins"), [("shared", False), ("shared_by_all", True)])
def test_joining(url, key, release, feed, joins):
    """A run is joined by its own caller; by others where the feed is shared by all."""
    runs = [start(url, feed, key, bearer(sub)) for sub in ("ada", "ada", "bob")]
    release(key)
    assert runs[0] == runs[1]
    assert (runs[1] == runs[2]) is joins
    status = ask(url, f"/runs/{runs[0]}?format=json", headers=bearer("bob")).status_code
    assert status == (200 if joins else 403)


def test_stopping(url, key):
    """It takes a claim of its own, and the right to the feed."""
    run = start(url, "held", key, bearer())
    for headers in (bearer(), bearer(stop=False), bearer(feeds=["quick"], stop=True)):
        assert ask(url, f"/runs/{run}", method="DELETE", headers=headers).status_code == 403
    response = ask(url, f"/runs/{run}", method="DELETE", headers=bearer("root", stop=True))
    assert response.status_code == 204
    state = ask(url, f"/runs/{run}?format=json", headers=bearer()).json()
    assert state["done"]["reason"] == "stopped"


# --------------------------------------------------------------------------------- time


def test_a_stream_ends_with_its_token(url, key):
    """It says when to come back, and who comes back without a new token is told why not."""
    path = f"/feeds/held?key={key}"
    until = int(time.time()) + 2
    headers = bearer(exp=until)
    with watching(url, f"{path}&format=ndjson", headers=headers) as viewer:
        last = viewer.until("start").id
        assert viewer.until("shutdown").data["reason"] == "max_age"
        assert viewer.rest() == []
    assert time.time() >= until
    assert ask(url, path, headers={**headers, "Last-Event-ID": last}).status_code == 401
    with watching(url, path, headers={**bearer(), "Last-Event-ID": last}) as viewer:
        assert viewer.until("result").n == 2
