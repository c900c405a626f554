"""What happens at the bounds of a process, on both applications (CONTRACT "Configuration")."""

import time

import pytest

from tests.apps.scenarios import FEEDS
from tests.serving import serving
from tests.viewing import ask, problem, reading, watching

MAX_STREAMS = 3
MAX_EVENTS = 10

SERVER = f"""
[server]
max_streams = {MAX_STREAMS}
ping_interval = 0.2
drain_timeout = 1.0
retry_ms = 1234

[log]
max_events = {MAX_EVENTS}

[feeds.many.params.key]
[feeds.many.upstreams.a]
url = "${{UPSTREAMS}}/lines/{{key}}?lines=40"
read = "lines"
[feeds.many.upstreams.b]
url = "${{UPSTREAMS}}/json/{{key}}"
"""

AGED = """
[server]
max_stream_age = 0.4
drain_timeout = 1.0
retry_ms = 1234
"""


@pytest.fixture(scope="module")
def bounded(app, environment, tmp_path_factory):
    """An application with little room."""
    folder = tmp_path_factory.mktemp("bounded")
    with serving(app, SERVER + FEEDS, folder=folder, env=environment) as running:
        yield running.base_url


@pytest.fixture(scope="module")
def aged(app, environment, tmp_path_factory):
    """An application whose streams do not grow old."""
    folder = tmp_path_factory.mktemp("aged")
    with serving(app, AGED + FEEDS, folder=folder, env=environment) as running:
        yield running.base_url


# --------------------------------------------------------------------------- streams


def test_a_stream_too_many_is_503(bounded, upstreams, key):
    """Beyond `max_streams` a stream is refused, told when to ask again, and starts nothing."""
    with (
        watching(bounded, f"/feeds/silent?key={key}-1") as first,
        watching(bounded, f"/feeds/silent?key={key}-2") as second,
        watching(bounded, f"/feeds/silent?key={key}-3") as third,
    ):
        for viewer in (first, second, third):
            viewer.until("start")
        response = ask(bounded, f"/feeds/silent?key={key}-4")
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        assert problem(response)["max_streams"] == MAX_STREAMS
        # What is no stream is answered all the same.
        assert ask(bounded, "/healthz").status_code == 200
        assert ask(bounded, "/feeds/quick", method="POST", json={"key": key}).status_code == 201
        assert ask(bounded, f"/feeds/silent?key={key}", method="HEAD").status_code == 200
    assert not upstreams.calls[f"/held/{key}-4"]


def test_a_stream_that_has_ended_makes_room(bounded, key):
    """Slots come back at the end of a stream and when its viewer leaves, however often."""
    for n in range(3 * MAX_STREAMS):
        path = f"/feeds/cancelled?key={key}-{n}" if n % 2 else f"/feeds/quick?key={key}-{n}"
        with _opened(bounded, path) as viewer:
            viewer.until("start")


def _opened(url, path):
    """Open a stream; for a while it may be that the one before is still being let go."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if ask(url, path, method="HEAD").status_code == 200:
            stream = watching(url, path)
            viewer = stream.__enter__()
            if viewer.response.status_code == 200:
                return _Again(stream, viewer)
            stream.__exit__(None, None, None)
    raise AssertionError("no room for a stream")


class _Again:
    def __init__(self, stream, viewer):
        self._stream = stream
        self._viewer = viewer

    def __enter__(self):
        return self._viewer

    def __exit__(self, *exc_info):
        self._stream.__exit__(*exc_info)


# ----------------------------------------------------------------------------- beats


@pytest.mark.parametrize(
    ("format", "beat"),
    [
        ("sse", b": beat\n"),
        ("ndjson", b'{"event":"ping","data":{}}\n'),
        ("text", b"\n"),
    ],
)
def test_a_silent_stream_beats(bounded, release, key, format, beat):
    """While nothing happens a beat is written, so that nobody on the way gives the stream up."""
    port = int(bounded.rpartition(":")[2])
    with reading(port, f"/feeds/silent?key={key}&format={format}") as response:
        while b"start" not in response.readline():
            pass
        beats = 0
        while beats < 2:
            beats += response.readline() == beat
        release(key)
        assert key.encode() in response.read()


def test_a_json_document_beats_in_spaces(bounded, release, key):
    """A document that is waited for has spaces before it, and stays JSON."""
    with watching(bounded, f"/feeds/silent?key={key}&format=json") as viewer:
        pieces = viewer.response.iter_raw()
        spaces = b""
        while len(spaces) < 3:
            spaces += next(pieces)
        assert spaces.strip() == b""
        release(key)
        assert b"".join(pieces).startswith(b"{")


def test_a_ping_is_an_event_where_it_is_asked_for(bounded, release, key):
    """`?ping=event` makes beats that a browser's script sees, and that change no id."""
    with watching(bounded, f"/feeds/silent?key={key}&ping=event") as viewer:
        start = viewer.until("start")
        ping = viewer.until("ping")
        assert (ping.data, ping.id) == ({}, start.id)
        release(key)
        viewer.until("done")


# --------------------------------------------------------------------------- trimming


def test_a_trimmed_log_says_so(bounded, key):
    """Who reads what is no longer whole is told first, and then gets start, outcomes and end."""
    run = ask(bounded, "/feeds/many", method="POST", json={"key": key}).json()["run"]
    while ask(bounded, f"/runs/{run}?format=json").json()["done"] is None:
        pass
    with watching(bounded, f"/runs/{run}") as viewer:
        reset, start, *held = viewer.rest()
    assert (reset.event, reset.data, reset.id) == ("reset", {"reason": "trimmed"}, "")
    assert (start.event, start.n) == ("start", 1)
    assert {event.data["upstream"] for event in held if event.event == "result"} == {"a", "b"}
    assert held[-1].event == "done"
    numbers = [event.n for event in held]
    assert numbers == sorted(set(numbers))
    assert len(held) < MAX_EVENTS


def test_an_id_in_the_trimmed_part_is_told_so(bounded, key):
    """A viewer that comes back to a place that is gone is never left with a silent gap."""
    run = ask(bounded, "/feeds/many", method="POST", json={"key": key}).json()["run"]
    while ask(bounded, f"/runs/{run}?format=json").json()["done"] is None:
        pass
    with watching(bounded, f"/feeds/many?key={key}", headers={"Last-Event-ID": f"{run}-2"}) as viewer:
        reset, start, *_ = viewer.rest()
    assert (reset.data, start.event) == ({"reason": "trimmed"}, "start")
    with watching(bounded, f"/runs/{run}") as viewer:
        last_but_one = viewer.rest()[-2]
    with watching(bounded, f"/runs/{run}", headers={"Last-Event-ID": last_but_one.id}) as viewer:
        assert [event.event for event in viewer.rest()] == ["done"]


# -------------------------------------------------------------------------------- age


@pytest.mark.parametrize("format", ["sse", "ndjson"])
def test_an_old_stream_is_ended_and_resumes(aged, upstreams, release, key, format):
    """After `max_stream_age` a stream says `shutdown` and ends; its run goes on."""
    path = f"/feeds/silent?key={key}&format={format}"
    with watching(aged, path) as viewer:
        start = viewer.until("start")
        shutdown = viewer.until("shutdown")
        assert shutdown.data == {"reason": "max_age", "reconnect_ms": 1234}
        assert viewer.rest() == []
    with watching(aged, path, headers={"Last-Event-ID": start.id}) as viewer:
        release(key)
        assert [event.event for event in viewer if event.event != "open"] == ["result", "done"]
    assert upstreams.calls[f"/held/{key}"] == 1


def test_the_shutdown_says_when_to_come_back(aged, key):
    """A browser is told by `retry:` too."""
    text = ask(aged, f"/feeds/silent?key={key}").text
    assert "retry: 1234\nevent: shutdown\n" in text


def test_an_old_document_is_answered_as_it_stands(aged, key):
    """A client that waits for the end of a long run gets its state, with `done` null."""
    document = ask(aged, f"/feeds/held?key={key}&format=json").json()
    assert (document["results"].keys(), document["done"]) == ({"a"}, None)
