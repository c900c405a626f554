"""The page, and what describes the application and its health, on both applications."""

import re

import pytest

from tests.viewing import ask


def test_the_page(url):
    """The page is HTML, runs only what comes from here, and is asked for anew each time."""
    response = ask(url, "/")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "no-cache" in response.headers["cache-control"]


def test_all_that_the_page_names_is_there(url):
    """Each file that the page refers to is served, with a type that a browser takes."""
    names = re.findall(r'(?:src|href)="([^"#]+)"', ask(url, "/").text)
    assert names
    for name in names:
        assert not name.startswith(("/", "http:", "https:")), "a prefix would be lost"
        response = ask(url, f"/{name}")
        assert response.status_code == 200, name
        if name.endswith(".js"):
            assert "javascript" in response.headers["content-type"]
        if name.endswith(".css"):
            assert response.headers["content-type"].startswith("text/css")


def test_the_page_has_no_inline_code(url):
    """What its policy forbids is not in it."""
    page = ask(url, "/").text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|javascript:", page)


def test_the_feeds_are_listed(url):
    """Names, parameters and upstreams, in the order of the file, and no address."""
    document = ask(url, "/feeds").json()
    feeds = {feed["name"]: feed for feed in document["feeds"]}
    assert list(feeds)[:3] == ["one", "quick", "held"]
    assert "http" not in str(feeds)
    assert "UPSTREAMS" not in str(feeds)


@pytest.mark.parametrize(("path", "word"), [("/healthz", "alive"), ("/readyz", "ready")])
def test_health(url, path, word):
    """A process that runs is alive and ready, and no cache says so for it."""
    response = ask(url, path)
    assert (response.status_code, response.json()) == (200, {"status": word})
    assert response.headers["cache-control"] == "no-store"


def test_openapi_describes_the_interface(url):
    """The document names every path, and each feed's own."""
    response = ask(url, "/openapi.json")
    assert response.headers["content-type"] == "application/json"
    document = response.json()
    assert document["openapi"].startswith("3.1")
    assert {"/feeds", "/feeds/{feed}", "/runs/{run}", "/healthz", "/readyz"} <= document[
        "paths"
    ].keys()


def test_known_lengths_are_told(url):
    """What is not a stream has a length, on HEAD as on GET."""
    for path in ("/feeds", "/healthz", "/openapi.json", "/none"):
        lengths = {ask(url, path, method=m).headers["content-length"] for m in ("GET", "HEAD")}
        assert len(lengths) == 1
        assert int(lengths.pop()) > 0
