"""The page, and what describes the application and its health, on both applications."""

import gzip
import re

import pytest

from tests.raw_asking import ask_raw, head
from tests.serving import ROOT
from tests.viewing import ask

STATIC = ROOT / "static"
FILES = sorted(path.name for path in STATIC.iterdir())

MAX_PAGE_BYTES = 60_000
"""Bytes of all files of the page together, as they lie."""


def ask_file(url, path="/static/app.js", *, coding="", method="GET", **headers):
    """Ask for a file by an `Accept-Encoding`; httpx undoes the coding of what comes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(url, path, method=method, headers={"Accept-Encoding": coding, **named})


def sent_headers(response):
    """The headers that belong to a file, not to the moment and the connection."""
    passing = {"date", "server", "connection", "keep-alive"}
    return {name: value for name, value in response.headers.items() if name not in passing}


def test_the_page(url):
    """The page is HTML, runs only what comes from here, and is asked for anew each time."""
    response = ask(url, "/")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    policy = response.headers["content-security-policy"].split("; ")
    assert policy[:2] == ["default-src 'self'", "img-src 'self' data:"]
    assert "no-cache" in response.headers["cache-control"]


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/static/style.css"])
def test_files_are_asked_for_again(url, path):
    """No file of the page is used unasked, so that after an update none of another version is."""
    response = ask(url, path)
    assert response.status_code == 200
    assert "no-cache" in response.headers["cache-control"]
    assert "max-age" not in response.headers["cache-control"]
    assert "expires" not in response.headers


def test_all_that_the_page_names_is_there(url):
    """Each file that the page refers to is served, with a type that a browser takes."""
    names = re.findall(r'(?:src|href)="([^"#]+)"', ask(url, "/").text)
    assert names
    for name in names:
        assert not name.startswith(("/", "http:", "https:")), "a prefix would be lost"
        assert_is_served(url, name)


def test_all_modules_are_there(url):
    """So is each module that another one imports."""
    waiting, found = ["static/app.js"], set()
    while waiting:
        name = waiting.pop()
        found.add(name)
        text = assert_is_served(url, name)
        imported = {f"static/{other}" for other in re.findall(r"from '\./([^']+)'", text)}
        waiting += imported - found
    assert {"static/run-view.js", "static/fanstream.js"} <= found


def assert_is_served(url, name):
    """Hold a file to being there and to its type; return it."""
    response = ask(url, f"/{name}")
    assert response.status_code == 200, name
    kind = response.headers["content-type"]
    assert not name.endswith(".js") or "javascript" in kind
    assert not name.endswith(".css") or kind.startswith("text/css")
    return response.text


def test_the_page_has_no_inline_code(url):
    """What its policy forbids is not in it."""
    page = ask(url, "/").text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|javascript:", page)


def test_the_page_is_light(url):
    """All its files together stay below the bound, and are less than half of it on their way."""
    plain, coded = 0, 0
    for name in FILES:
        path = "/" if name == "index.html" else f"/static/{name}"
        response = ask_file(url, path, coding="gzip, deflate, br, zstd")
        assert response.content == (STATIC / name).read_bytes()
        plain += len(response.content)
        coded += response.num_bytes_downloaded
    assert 10_000 < coded < MAX_PAGE_BYTES / 2
    assert coded < plain < MAX_PAGE_BYTES


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/static/style.css"])
def test_both_forms_of_a_file(url, path):
    """Gzipped it is the same text of the same type, shorter, and told from the other by caches."""
    plain, coded = ask_file(url, path), ask_file(url, path, coding="gzip")
    assert plain.content == coded.content == (STATIC / (path[8:] or "index.html")).read_bytes()
    assert "content-encoding" not in plain.headers
    assert coded.headers["content-encoding"] == "gzip"
    for response in (plain, coded):
        assert int(response.headers["content-length"]) == response.num_bytes_downloaded
    assert coded.num_bytes_downloaded < plain.num_bytes_downloaded / 2
    own = {"content-encoding", "content-length", "etag"}
    shared, others = (
        {name: value for name, value in sent_headers(response).items() if name not in own}
        for response in (plain, coded)
    )
    assert shared == others
    assert shared["vary"] == "Accept-Encoding"
    assert shared["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("GZIP;Q=0.001", "gzip"),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip"),
        ("*", "gzip"),
        ("identity;q=0, *", "gzip"),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("", None),
        ("br, deflate", None),
        ("gzip;q=0", None),
        ("gzip;q=0.000, *", None),
        ("*;q=0", None),
        ("identity", None),
        ("identity, gzip;q=0.9", None),
        ("gzip;q=x", None),
        ("gzipped", None),
    ],
)
def test_the_form_is_chosen_by_accept_encoding(url, accepted, coding):
    """RFC 9110, 12.5.3: names, `*` for what is not named, and 0 for what is refused."""
    response = ask_file(url, coding=accepted)
    assert (response.status_code, response.headers.get("content-encoding")) == (200, coding)


def test_accept_encoding_on_no_line_and_on_two(served):
    """Who says nothing of codings gets none, and several lines are one list."""
    host = (b"Host", b"localhost")
    lines = [(b"Accept-Encoding", b"*"), (b"Accept-Encoding", b"gzip;q=0")]
    for fields in ([host], [host, *lines]):
        answer = ask_raw(served.port, head(b"GET", b"/static/app.js", *fields))
        assert answer.status == 200
        assert answer.body == (STATIC / "app.js").read_bytes()
    answer = ask_raw(served.port, head(b"GET", b"/static/app.js", host, lines[0]))
    assert gzip.decompress(answer.body) == (STATIC / "app.js").read_bytes()


@pytest.mark.parametrize("path", ["/", "/static/app.js"])
@pytest.mark.parametrize("coding", ["", "gzip"])
def test_a_file_that_a_browser_has(url, path, coding):
    """304 to its tag and to its time, with what keeps it fresh, and without a body."""
    had = ask_file(url, path, coding=coding).headers
    for condition in ({"If_None_Match": had["etag"]}, {"If_Modified_Since": had["last-modified"]}):
        for method in ("GET", "HEAD"):
            response = ask_file(url, path, coding=coding, method=method, **condition)
            assert (response.status_code, response.content) == (304, b"")
            for name in ("etag", "cache-control", "vary"):
                assert response.headers[name] == had[name]


@pytest.mark.parametrize(("had", "wanted"), [("", "gzip"), ("gzip", "")])
def test_the_other_form_of_a_file_that_a_browser_has(url, had, wanted):
    """The tag of one form, even as a weak one, does not stand for the other."""
    tag = ask_file(url, coding=had).headers["etag"]
    for condition in (tag, f"W/{tag}"):
        response = ask_file(url, coding=wanted, If_None_Match=condition)
        assert response.status_code == 200
        assert response.headers["etag"] != tag
        assert response.content == (STATIC / "app.js").read_bytes()


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/static/icon.svg"])
@pytest.mark.parametrize("coding", ["", "gzip"])
def test_the_head_of_a_file(url, path, coding):
    """HEAD answers with the headers of GET, its length among them."""
    answers = [ask_file(url, path, coding=coding, method=method) for method in ("GET", "HEAD")]
    assert sent_headers(answers[0]) == sent_headers(answers[1])
    assert int(answers[1].headers["content-length"]) > 0
    assert answers[1].content == b""


@pytest.mark.parametrize("coding", ["", "gzip"])
@pytest.mark.parametrize("asked", ["bytes=0-9", "bytes=-50", "bytes=99999-", "none"])
def test_a_file_is_sent_whole(url, coding, asked):
    """Ranges are not offered, so that none is taken of what another form has begun."""
    response = ask_file(url, coding=coding, Range=asked)
    assert response.status_code == 200
    assert response.headers.get("accept-ranges", "none") == "none"
    assert response.content == (STATIC / "app.js").read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        *("none.js", "", "n" * 300, "%00", "app.js%00", "%ff"),
        *("..%2fpyproject.toml", "..%2f..%2f..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd"),
        *("%2e%2e%2fapp_quart.py", "..%5cpyproject.toml", "x%2f..%2f..%2fpyproject.toml"),
    ],
)
def test_what_is_no_file_of_the_page(served, name):
    """Whatever is asked for by its name is 404, and nothing is coded."""
    target = f"/static/{name}".encode()
    request = head(b"GET", target, (b"Host", b"localhost"), (b"Accept-Encoding", b"gzip"))
    answer = ask_raw(served.port, request)
    assert answer.status == 404
    assert answer.header("content-encoding") == ""
    answer.problem()


@pytest.mark.parametrize("path", ["/feeds", "/healthz", "/openapi.json", "/none", "/feeds/one"])
def test_nothing_else_is_coded(url, path):
    """Only the files of the page are: a stream would wait in an encoder."""
    response = ask_file(url, path, coding="gzip")
    assert "content-encoding" not in response.headers
    assert "accept-encoding" not in response.headers.get("vary", "").lower()


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
