"""Formats, negotiation and headers, on both applications (CONTRACT "Wires")."""

import json

import pytest

from tests.apps.scenarios import MEDIA_TYPES, WIRES
from tests.viewing import ask, problem, reading, watching

# RFC 9110 section 7.6.1; `Transfer-Encoding` is the server's to say, and `Connection` too.
HOP_BY_HOP = {
    *("keep-alive", "proxy-connection", "proxy-authenticate", "te", "trailer", "upgrade"),
}


@pytest.mark.parametrize("format", MEDIA_TYPES)
def test_headers_of_a_stream(served, format):
    """Each format says its type, and what keeps caches and proxies from holding it back."""
    with reading(served.port, f"/feeds/one?format={format}") as response:
        assert response.status == 200
        assert response.headers.get_all("Content-Type") == [MEDIA_TYPES[format]]
        assert response.headers.get_all("Cache-Control") == ["no-cache, no-transform"]
        assert response.headers.get_all("X-Accel-Buffering") == ["no"]
        assert "Accept" in response.headers["Vary"]


@pytest.mark.parametrize("format", MEDIA_TYPES)
def test_no_hop_by_hop_header(served, format):
    """Nothing of a single connection is said by the application, and nothing twice."""
    with reading(served.port, f"/feeds/one?format={format}") as response:
        names = [name.lower() for name in response.headers]
        assert HOP_BY_HOP.isdisjoint(names)
        assert len(response.headers.get_all("Transfer-Encoding")) == 1
        assert "content-length" not in names


@pytest.mark.parametrize(
    ("format", "first"),
    [
        ("sse", b": "),
        ("ndjson", b'{"event":"open","data":{"retry_ms":2000,"ping_interval":15.0}}\n'),
        ("text", b"\n"),
    ],
)
def test_preamble_comes_before_any_answer(served, upstreams, release, key, format, first):
    """The head and the first line are there while no upstream has answered."""
    with reading(served.port, f"/feeds/silent?key={key}&format={format}") as response:
        assert response.readline().startswith(first)
        upstreams.wait_calls(f"/held/{key}")
        release(key)
        assert key.encode() in response.read()


def test_sse_begins_with_a_comment_and_retry(served, release, key):
    """An SSE client is told at once how long to wait before it comes back."""
    with reading(served.port, f"/feeds/silent?key={key}") as response:
        assert response.readline().startswith(b":")
        assert response.readline() == b"retry: 2000\n"
        release(key)


def test_json_begins_before_any_answer(served, release, key):
    """A document has its beat, a space, out before any upstream has answered, and is JSON."""
    with reading(served.port, f"/feeds/silent?key={key}&format=json") as response:
        assert response.read1(1) == b" "
        release(key)
        document = json.loads(response.read())
        assert document["results"]["a"]["body"]["key"] == key


def test_json_is_one_document(url, key):
    """The `json` format says of a run what the events say, each upstream under its name."""
    document = ask(url, f"/feeds/quick?key={key}&format=json").json()
    assert list(document) == ["run", "feed", "params", "results", "failures", "done"]
    assert (document["feed"], document["params"]) == ("quick", {"key": key})
    assert document["results"].keys() == {"a", "b"}
    assert document["done"]["ok"] == 2


def test_events_are_the_same_on_sse_and_ndjson(url, release, key):
    """Two viewers of one run see the same names, data and ids on either wire."""
    path = f"/feeds/shared?key={key}"
    with (
        watching(url, f"{path}&format=sse") as sse,
        watching(url, f"{path}&format=ndjson") as ndjson,
    ):
        release(key)
        opening, *events = ndjson.rest()
        assert (opening.event, opening.id) == ("open", "")
        assert sse.rest() == events


def test_text_is_a_line_for_each_event(url, key):
    """A person sees a line for the start, for each outcome and for the end."""
    lines = ask(url, f"/feeds/quick?key={key}&format=text").text.split()
    text = " ".join(lines)
    assert "(1/2)" in text
    assert "(2/2)" in text
    assert text.index("quick start") < text.index("(1/2)") < text.index("done finished")


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        ("*/*", "sse"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "sse"),
        ("text/event-stream", "sse"),
        ("application/x-ndjson", "ndjson"),
        ("application/json", "json"),
        ("text/plain", "text"),
        ("text/event-stream;q=0.5, application/x-ndjson", "ndjson"),
        ("text/event-stream;q=0, */*", "ndjson"),
    ],
)
def test_accept_chooses_the_format(url, accept, format):
    """The `Accept` header chooses, by its qualities."""
    response = ask(url, "/feeds/one", headers={"Accept": accept})
    assert response.headers["content-type"] == MEDIA_TYPES[format]


def test_without_accept_it_is_sse(served):
    """A client that says nothing gets SSE."""
    with reading(served.port, "/feeds/one", headers={"X-No-Accept": "1"}) as response:
        assert response.headers["Content-Type"] == "text/event-stream"


def test_format_goes_before_accept(url):
    """`?format=` wins, for an EventSource cannot set a header."""
    response = ask(url, "/feeds/one?format=ndjson", headers={"Accept": "text/event-stream"})
    assert response.headers["content-type"] == "application/x-ndjson"


@pytest.mark.parametrize(
    ("query", "accept"), [("", "image/png"), ("&format=xml", "*/*"), ("&format=", "*/*")]
)
def test_nothing_acceptable_is_406_and_starts_nothing(url, upstreams, key, query, accept):
    """What cannot be written is refused with what can be, before any upstream is called."""
    response = ask(url, f"/feeds/quick?key={key}{query}", headers={"Accept": accept})
    assert response.status_code == 406
    assert problem(response)["available"]
    ask(url, "/feeds/one")
    assert not upstreams.calls[f"/json/{key}-a"]


@pytest.mark.parametrize("format", WIRES)
def test_an_end_is_the_end_of_the_response(served, format):
    """After `done` the response ends in order, and its connection takes another request."""
    with reading(served.port, f"/feeds/one?format={format}") as response:
        body = response.read()
        assert response.isclosed()
    assert b"finished" in body.splitlines()[-1] or b"finished" in body.splitlines()[-2]
