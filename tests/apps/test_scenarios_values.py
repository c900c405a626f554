"""Values at the edge, from upstreams through to viewers, on both applications."""

import pytest

from tests.apps.scenarios import SECRET
from tests.upstream_answers import BIG, HUGE
from tests.viewing import ask, watching


@pytest.fixture
def edges(url):
    """The outcomes of upstreams that answer strange things, by name."""
    with watching(url, "/feeds/edges") as viewer:
        return {event.data.get("upstream"): event for event in viewer.rest()}


@pytest.mark.parametrize("format", ["sse", "ndjson", "text", "json"])
def test_big_integers_pass_unchanged(url, format):
    """No digit is lost on the way, in any format; nor does the order of keys change."""
    text = ask(url, f"/feeds/edges?format={format}").text
    assert f'"big":{BIG}' in text
    assert f'"huge":{HUGE}' in text
    assert text.index('"z":1') < text.index('"big":1') < text.index('"m":2')


@pytest.mark.parametrize("name", ["nan", "infinite", "surrogate", "wrong"])
def test_what_is_no_json_is_decode(edges, name):
    """NaN, Infinity, half a surrogate pair and wrong UTF-8 are failures, and only theirs."""
    assert edges[name].event == "failure"
    assert edges[name].data["code"] == "decode"


def test_the_others_arrive(edges):
    """One upstream's nonsense does not disturb the others."""
    assert (edges["empty"].event, edges["empty"].data["body"]) == ("result", None)
    assert edges["declared"].data["body"] == "café"
    assert (edges[None].data["ok"], edges[None].data["failed"]) == (3, 4)


def test_the_upstream_is_sent_its_header_and_nobody_else(url):
    """A secret of the configuration reaches the upstream, and no document of the interface."""
    placed = ask(url, "/feeds/placed?format=json")
    headers = dict(placed.json()["results"]["a"]["body"]["headers"])
    assert headers["Authorization"] == f"Bearer {SECRET}"
    for path in ("/feeds", "/openapi.json", "/feeds/placed?segment=..", "/"):
        assert SECRET not in ask(url, path).text
