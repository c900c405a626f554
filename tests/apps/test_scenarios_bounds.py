"""What happens at the bounds of a process, on both applications (CONTRACT "Configuration")."""

import pytest

from tests.apps.scenarios import FEEDS
from tests.serving import serving
from tests.viewing import ask, eventually, problem, reading, watching

MAX_STREAMS = 3
MAX_EVENTS = 10

NARROW = f"""
[server]
max_streams = {MAX_STREAMS}
drain_timeout = 0.0
"""

SHORT = f"""
[server]
ping_interval = 0.1
drain_timeout = 0.0

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
max_stream_age = 0.6
drain_timeout = 1.0
retry_ms = 1234
"""


@pytest.fixture
def narrow(app, environment, tmp_path):
    """An application with few streams, for one test: a slot is free a moment after it was left."""
    with serving(app, NARROW + FEEDS, folder=tmp_path, env=environment) as running:
        yield running.base_url


@pytest.fixture(scope="module")
def short(app, environment, tmp_path_factory):
    """An application with short logs, and little time between two beats."""
    folder = tmp_path_factory.mktemp("short")
    with serving(app, SHORT + FEEDS, folder=folder, env=environment) as running:
        yield running.base_url


@pytest.fixture(scope="module")
def aged(app, environment, tmp_path_factory):
    """An application whose streams do not grow old."""
    folder = tmp_path_factory.mktemp("aged")
    with serving(app, AGED + FEEDS, folder=folder, env=environment) as running:
        yield running.base_url


# --------------------------------------------------------------------------- streams


def test_a_stream_too_many_is_503(narrow, upstreams, key):
    """Beyond `max_streams` a stream is refused, told when to ask again, and starts nothing."""
    with (
        watching(narrow, f"/feeds/silent?key={key}-1") as first,
        watching(narrow, f"/feeds/silent?key={key}-2") as second,
        watching(narrow, f"/feeds/silent?key={key}-3") as third,
    ):
        for viewer in (first, second, third):
            viewer.until("start")
        response = ask(narrow, f"/feeds/silent?key={key}-4")
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        assert problem(response)["max_streams"] == MAX_STREAMS
        # What is no stream is answered all the same.
        assert ask(narrow, "/healthz").status_code == 200
        assert ask(narrow, "/feeds/quick", method="POST", json={"key": key}).status_code == 201
        assert ask(narrow, f"/feeds/silent?key={key}", method="HEAD").status_code == 200
    assert not upstreams.calls[f"/held/{key}-4"]


def test_a_stream_that_has_ended_makes_room(narrow, key):
    """Slots come back at the end of a stream and when its viewer leaves, however often."""
    for n in range(3 * MAX_STREAMS):
        feed = "cancelled" if n % 2 else "quick"
        eventually(lambda path=f"/feeds/{feed}?key={key}-{n}": _is_opened(narrow, path))


def _is_opened(url, path):
    """Say whether there is room for a stream; the one before may still be being let go."""
    with watching(url, path) as viewer:
        if viewer.response.status_code == 503:
            return False
        viewer.until("start")
    return True


def test_streams_of_one_address_are_bounded(app, environment, upstreams, tmp_path, key):
    """One client cannot take all streams; behind a trusted proxy it is told by what that says."""
    config = """[server]
max_streams_per_address = 1
trusted_proxies = ["127.0.0.0/8"]
drain_timeout = 0.0
"""

    def streams(viewer):
        return {"X-Forwarded-For": f"10.9.9.9, 203.0.113.{viewer}"}

    path = f"/feeds/silent?key={key}"
    with (
        serving(app, config + FEEDS, folder=tmp_path, env=environment) as running,
        watching(running.base_url, path, headers=streams(1)) as first,
        watching(running.base_url, path, headers=streams(2)) as second,
    ):
        assert (next(first).event, next(second).event) == ("start", "start")
        refused = ask(running.base_url, path, headers=streams(1))
        assert (refused.status_code, problem(refused)["max_streams_per_address"]) == (503, 1)


# ----------------------------------------------------------------------------- beats


@pytest.mark.parametrize(
    ("format", "beat"),
    [
        ("sse", b": beat\n"),
        ("ndjson", b'{"event":"ping","data":{}}\n'),
        ("text", b"\n"),
    ],
)
def test_a_silent_stream_beats(short, release, key, format, beat):
    """While nothing happens a beat is written, so that nobody on the way gives the stream up."""
    port = int(short.rpartition(":")[2])
    path = f"/feeds/silent?key={key}&format={format}"
    with reading(port, path) as response:
        lines = iter(response.readline, b"")
        assert any(b"start" in line for line in lines)
        assert beat in lines
        assert beat in lines
        release(key)
        assert key.encode() in response.read()


def test_a_json_document_beats_in_spaces(short, release, key):
    """A document that is waited for has spaces before it, and stays JSON."""
    with watching(short, f"/feeds/silent?key={key}&format=json") as viewer:
        pieces = viewer.response.iter_raw()
        spaces = b""
        while len(spaces) < 3:
            spaces += next(pieces)
        assert spaces.strip() == b""
        release(key)
        assert b"".join(pieces).startswith(b"{")


def test_a_ping_is_an_event_where_it_is_asked_for(short, release, key):
    """`?ping=event` makes beats that a browser's script sees, and that change no id."""
    with watching(short, f"/feeds/silent?key={key}&ping=event") as viewer:
        start = viewer.until("start")
        ping = viewer.until("ping")
        assert (ping.data, ping.id) == ({}, start.id)
        release(key)
        viewer.until("done")


# --------------------------------------------------------------------------- trimming


def trimmed(url, key):
    """Return a run that has ended, with more events than its log holds."""
    run = ask(url, "/feeds/many", method="POST", json={"key": key}).json()["run"]
    eventually(lambda: ask(url, f"/runs/{run}?format=json").json()["done"])
    return run


def test_a_trimmed_log_says_so(short, key):
    """Who reads what is no longer whole is told first, and then gets start, outcomes and end."""
    run = trimmed(short, key)
    with watching(short, f"/runs/{run}") as viewer:
        reset, start, *held = viewer.rest()
    assert (reset.event, reset.data, reset.id) == ("reset", {"reason": "trimmed"}, "")
    assert (start.event, start.n) == ("start", 1)
    assert {event.data["upstream"] for event in held if event.event == "result"} == {"a", "b"}
    assert held[-1].event == "done"
    numbers = [event.n for event in held]
    assert numbers == sorted(set(numbers))
    assert len(held) < MAX_EVENTS


def test_an_id_in_the_trimmed_part_is_told_so(short, key):
    """A viewer that comes back to a place that is gone is never left with a silent gap."""
    run = trimmed(short, key)
    with watching(short, f"/feeds/many?key={key}", headers={"Last-Event-ID": f"{run}-2"}) as viewer:
        reset, start, *_ = viewer.rest()
    assert (reset.data, start.event) == ({"reason": "trimmed"}, "start")
    with watching(short, f"/runs/{run}") as viewer:
        last_but_one = viewer.rest()[-2]
    with watching(short, f"/runs/{run}", headers={"Last-Event-ID": last_but_one.id}) as viewer:
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
