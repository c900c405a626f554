"""Coming back to a run, on both applications (CONTRACT "Resume")."""

import http.client
import itertools

import pytest

from tests.viewing import TIMEOUT, ask, problem, watching

UNKNOWN_RUN = "0" * 32


@pytest.fixture
def ended(url, key):
    """The events of a run that has ended, and the path that started it."""
    path = f"/feeds/quick?key={key}"
    with watching(url, path) as viewer:
        return path, viewer.rest()


def came_back(url, path, id):
    """All that a client sees that comes back with an id."""
    with watching(url, path, headers={"Last-Event-ID": id}) as viewer:
        assert viewer.response.status_code == 200, viewer.response.read()
        return viewer.rest()


@pytest.mark.parametrize("by", ["header", "query"])
@pytest.mark.parametrize("format", ["sse", "ndjson"])
def test_a_cut_stream_is_resumed_without_gap_or_repeat(url, upstreams, release, key, by, format):
    """A connection that is cut in the middle and resumed sees every event once."""
    path = f"/feeds/held?key={key}&format={format}"
    with watching(url, path) as viewer:
        before = [viewer.until("start"), viewer.until("result", upstream="a")]
    headers = {"Last-Event-ID": before[-1].id} if by == "header" else {}
    resumed = path if by == "header" else f"{path}&last_event_id={before[-1].id}"
    with watching(url, resumed, headers=headers) as viewer:
        release(key)
        after = [event for event in viewer if event.event != "open"]
    assert [event.n for event in before + after] == [1, 2, 3, 4]
    assert [event.event for event in after] == ["result", "done"]
    assert (upstreams.calls[f"/json/{key}-a"], upstreams.calls[f"/held/{key}"]) == (1, 1)


@pytest.mark.parametrize("format", ["sse", "ndjson"])
def test_a_stream_that_is_cut_again_and_again(url, upstreams, key, format):
    """However often a connection breaks, and wherever, each event is had once and in order."""
    path = f"/feeds/lines?key={key}&format={format}"
    seen = []
    # More often than the sixty-four events need.
    for cut in [1, 4, 2, 7] * 10:
        if seen and seen[-1].event == "done":
            break
        headers = {"Last-Event-ID": seen[-1].id} if seen else {}
        with watching(url, path, headers=headers) as viewer:
            events = (event for event in viewer if event.event != "open")
            seen += itertools.islice(events, cut)
    assert [event.n for event in seen] == list(range(1, 64 + 1))
    assert [event.data["n"] for event in seen if event.event == "chunk"] == list(range(1, 61))
    assert (upstreams.calls[f"/ndjson/{key}"], upstreams.calls[f"/json/{key}"]) == (1, 1)


def test_a_cut_run_stream_is_resumed(url, release, key):
    """The same by the address of the run."""
    with watching(url, f"/feeds/held?key={key}") as viewer:
        start, seen = viewer.until("start"), viewer.until("result", upstream="a")
    release(key)
    after = came_back(url, f"/runs/{start.data['run']}", seen.id)
    assert [event.n for event in after] == [3, 4]


def test_the_header_goes_before_the_query(url, ended):
    """A browser that reconnects keeps its URL, and what it was opened with is older."""
    path, events = ended
    after = came_back(url, f"{path}&last_event_id={events[0].id}", events[-2].id)
    assert after == events[-1:]


def test_an_ended_run_is_replayed_from_the_id(url, ended):
    """A client that missed the end is given the rest, and no upstream is called."""
    path, events = ended
    assert came_back(url, path, events[0].id) == events[1:]


@pytest.mark.parametrize("format", ["sse", "ndjson", "text", "json"])
def test_after_done_it_is_204(url, upstreams, key, ended, format):
    """A browser that comes back after the end is told to stop, on the feed and on the run."""
    path, events = ended
    id = {"Last-Event-ID": events[-1].id}
    feed = ask(url, f"{path}&format={format}", headers=id)
    assert (feed.status_code, feed.content) == (204, b"")
    if format != "json":
        run = ask(url, f"/runs/{events[0].data['run']}?format={format}", headers=id)
        assert (run.status_code, run.content) == (204, b"")
    assert upstreams.calls[f"/json/{key}-a"] == 1


@pytest.mark.parametrize(
    "id",
    [
        *("x", "-", "0", " ", "%", "é", "\x7f", "undefined", "null", "../../etc"),
        f"{UNKNOWN_RUN}-1",
        "RUN",
        "RUN-",
        "RUN-0",
        "RUN-01",
        "RUN-+1",
        "RUN--1",
        "RUN-5",
        "RUN-1.0",
        "RUN-1-1",
        "RUN-99999999999999999999",
        "RUN-\u0661",
        "x" * 200,
    ],
)
def test_an_id_that_names_no_place_resets(url, upstreams, key, ended, id):
    """An unknown or malformed id gets a `reset` without an id, and a run of its own."""
    path, events = ended
    id = id.replace("RUN", events[0].data["run"])
    with watching(url, path, params={"key": key, "last_event_id": id}) as viewer:
        reset, start, *_, done = viewer.rest()
    assert (reset.event, reset.data, reset.id) == ("reset", {"reason": "unknown"}, "")
    assert (start.event, start.n, done.event) == ("start", 1, "done")
    assert start.data["run"] != events[0].data["run"]
    assert upstreams.calls[f"/json/{key}-a"] == 2


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"a\tb", b"\xc3\xa9"])
def test_an_id_of_any_bytes_resets(served, key, raw):
    """What a header may hold by the letter of HTTP breaks nothing."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=TIMEOUT)
    connection.putrequest("GET", f"/feeds/quick?key={key}")
    connection.putheader("Last-Event-ID", raw)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert (response.status, b'{"reason":"unknown"}' in body) == (200, True)


def test_an_id_of_another_feed_resets(url, key, ended):
    """An id resumes where feed and parameters match, and nowhere else."""
    _, events = ended
    reset, start, *_ = came_back(url, f"/feeds/forgotten?key={key}", events[0].id)
    assert (reset.data, start.data["feed"]) == ({"reason": "unknown"}, "forgotten")


def test_an_id_of_other_parameters_resets(url, key, ended):
    """With other parameters it is another run that is asked for."""
    _, events = ended
    reset, start, *_ = came_back(url, f"/feeds/quick?key=other{key}", events[0].id)
    assert (reset.data, start.data["params"]) == ({"reason": "unknown"}, {"key": f"other{key}"})


def test_an_id_of_another_run_resets_a_run(url, ended):
    """On a run, an id of another one is told so, and the run is read from its start."""
    _, events = ended
    reset, *rest = came_back(url, f"/runs/{events[0].data['run']}", f"{UNKNOWN_RUN}-1")
    assert (reset.event, rest) == ("reset", events)


@pytest.mark.parametrize("path", ["/feeds/quick?key=KEY&", "/runs/RUN?"])
@pytest.mark.parametrize("id", ["x" * 201, "é" * 101, "x" * 3000])
def test_a_too_long_id_is_400(url, upstreams, key, ended, path, id):
    """Over 200 bytes no id is looked at, and nothing starts."""
    path = path.replace("KEY", key).replace("RUN", ended[1][0].data["run"])
    response = ask(url, f"{path}last_event_id={id}")
    assert response.status_code == 400
    assert problem(response)["max_bytes"] == 200
    assert upstreams.calls[f"/json/{key}-a"] == 1


def test_what_is_not_repeatable_is_410(url, upstreams, key):
    """An unknown id on a feed that buys something is refused: it is not bought again unasked."""
    response = ask(url, f"/feeds/bought?key={key}", headers={"Last-Event-ID": f"{UNKNOWN_RUN}-1"})
    assert response.status_code == 410
    assert problem(response)["upstream"] == "a"
    ask(url, "/feeds/one")
    assert not upstreams.calls[f"/echo/{key}"]


def test_what_is_not_repeatable_is_resumed(url, upstreams, key):
    """An id that is known is as good there as anywhere."""
    path = f"/feeds/bought?key={key}"
    with watching(url, path) as viewer:
        events = viewer.rest()
    assert came_back(url, path, events[0].id) == events[1:]
    assert upstreams.calls[f"/echo/{key}"] == 1


def test_a_resumed_viewer_keeps_its_id_through_a_break(url, release, key):
    """A viewer that was sent nothing new still knows where it is when it breaks again."""
    with watching(url, f"/feeds/silent?key={key}") as viewer:
        start = viewer.until("start")
    with watching(url, f"/feeds/silent?key={key}", headers={"Last-Event-ID": start.id}) as viewer:
        lines = viewer.response.iter_lines()
        assert f"id: {start.id}" in iter(lambda: next(lines), "")
        release(key)
