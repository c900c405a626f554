"""Streams and feeds in an application of somebody's own, with Flask and with Quart."""

import time
from contextlib import ExitStack

import httpx
import pytest

from tests.apps.own_views import MAX_STREAMS
from tests.serving import free_port, serving_command
from tests.viewing import TIMEOUT, ask, client, eventually, problem, reading, watching

EVENTS = [("tick", {"n": 1}), ("message", {"n": 2}), ("message", "two\nlines")]


def command(app, port):
    """A server's own command, as somebody would start their application."""
    if app == "quart":
        return ["-m", "uvicorn", "tests.apps.own_quart:app", "--port", str(port)]
    bind = [*("--bind", f"127.0.0.1:{port}"), *("--worker-class", "gthread"), *("--threads", "16")]
    return ["-m", "gunicorn", "tests.apps.own_flask:app", *bind, "--graceful-timeout", "2"]


@pytest.fixture(scope="module")
def own(app, environment, tmp_path_factory):
    """The running application."""
    port = free_port()
    folder = tmp_path_factory.mktemp("own")
    with serving_command(*command(app, port), port=port, folder=folder, env=environment) as served:
        yield served


@pytest.fixture
def url(own):
    """Where it answers."""
    return own.base_url


def seen(url):
    return ask(url, "/seen").json()


def wait_closed(url, key, count=1):
    """Wait until a generator has said that it was closed."""
    eventually(lambda: seen(url)["closed"].get(key, 0) >= count)


each_kind = pytest.mark.parametrize("kind", ["", "-async"])


# --------------------------------------------------------------------- a stream's events


@pytest.mark.parametrize("path", ["/plain", "/async"])
@pytest.mark.parametrize("format", ["sse", "ndjson"])
def test_events_dicts_and_strings(url, path, format):
    """What a view yields becomes events in order, and then the stream says that it is done."""
    with watching(url, f"{path}?format={format}") as viewer:
        events = [event for event in viewer if event.event != "open"]
    assert [(event.event, event.data) for event in events[:3]] == EVENTS
    assert (events[3].event, events[3].data["reason"]) == ("done", "finished")
    assert len(events) == 4


def test_the_headers_are_a_streams(url):
    """A stream of one's own has the headers of any stream, and what the application adds."""
    response = ask(url, "/plain")
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-own"] == "1"


@each_kind
def test_the_preamble_does_not_wait_for_the_view(own, kind):
    """A view that takes its time has its head and first line out before its first event."""
    with reading(own.port, f"/slow{kind}") as response:
        began = time.monotonic()
        assert response.readline().startswith(b":")
        before = time.monotonic() - began
        response.read()
    assert before < time.monotonic() - began - 0.2


@each_kind
def test_a_view_that_takes_its_time_is_streamed(url, key, kind):
    """One that returns its iterator later than a response has to begin is not cut for it."""
    with watching(url, f"/pondering{kind}/{key}") as viewer:
        assert [event.event for event in viewer] == ["message", "done"]
    wait_closed(url, key)


@each_kind
def test_a_coming_back_after_done_is_204(url, kind):
    """A browser that reconnects after the end is told to stop, and the view is not called."""
    with watching(url, f"/named{kind}/x") as viewer:
        done = viewer.rest()[-1]
    response = ask(url, f"/named{kind}/x", headers={"Last-Event-ID": done.id})
    assert (response.status_code, response.content) == (204, b"")


@each_kind
def test_an_exception_is_a_failure(url, own, kind):
    """A view that raises ends with `failure` and `done`, and says nothing of why."""
    with watching(url, f"/raising{kind}") as viewer:
        first, failure, done = viewer.rest()
    assert first.data == {"n": 1}
    assert (failure.event, failure.data["code"]) == ("failure", "internal")
    assert (done.event, done.data["reason"]) == ("done", "failed")
    assert "secret" not in str(failure.data)
    assert "a secret of the view" in own.log()


@each_kind
def test_what_has_no_json_form_is_a_failure(url, kind):
    """A view that yields what cannot be written fails as one that raises."""
    with watching(url, f"/unwritable{kind}") as viewer:
        assert [event.event for event in viewer] == ["failure", "done"]


@each_kind
@pytest.mark.parametrize("by", ["header", "query"])
def test_the_last_id_is_handed_to_the_view(url, kind, by):
    """A view that yields ids of its own is told where its client was."""
    headers = {"Last-Event-ID": "place-6"} if by == "header" else {}
    query = "" if by == "header" else "?last_event_id=place-6"
    with watching(url, f"/resumed{kind}{query}", headers=headers) as viewer:
        at = viewer.until("at")
    assert (at.data, at.id) == ("place-6", "place-7")


@each_kind
def test_an_id_beyond_ascii_comes_back_as_it_was(url, kind):
    """A browser sends the id as UTF-8; the view is handed its characters."""
    with watching(url, f"/resumed{kind}", headers={"Last-Event-ID": "Zürich".encode()}) as viewer:
        assert viewer.until("at").data == "Zürich"


@each_kind
def test_a_client_that_resumes_keeps_its_id(url, kind):
    """The preamble says it again: a client forgets it at the first blank line without one."""
    headers = {"Last-Event-ID": "place-6"}
    with httpx.stream("GET", f"{url}/resumed{kind}", headers=headers) as response:
        assert "id: place-6" in next(response.iter_text()).split("\n\n")[0]


@each_kind
def test_without_an_id_the_view_is_handed_none(url, kind):
    """A new client is new."""
    with watching(url, f"/resumed{kind}?format=ndjson") as viewer:
        assert viewer.until("at").data is None


@each_kind
def test_parts_of_the_path_are_handed_to_the_view(url, kind):
    """A rule with variables works as for any view."""
    with watching(url, f"/named{kind}/Anna%20M") as viewer:
        assert next(viewer).data == {"hello": "Anna M"}


def test_merge_in_a_stream(url):
    """The events of `merge` are passed on as they are, and said `done` once."""
    with watching(url, "/merged") as viewer:
        events = viewer.rest()
    assert [event.data.get("upstream") for event in events if event.event == "result"] == [
        "quick",
        "slow",
    ]
    assert [event.event for event in events].count("done") == 1
    assert ask(url, "/merged", headers={"Last-Event-ID": events[-1].id}).status_code == 204


# -------------------------------------------------------------------------- its context


@each_kind
def test_the_request_is_there_inside(url, kind):
    """The generator sees its request, `g` and the session while it runs."""
    with watching(url, f"/asking{kind}?word=hi") as viewer:
        data = next(viewer).data
    assert data == {"word": "hi", "path": f"/asking{kind}", "g": "hi", "user": None}


@each_kind
def test_teardown_functions_run(url, key, kind):
    """The application's teardown functions run for a stream as for any request."""
    ask(url, f"/named{kind}/x?key={key}")
    wait_closed(url, f"teardown {key}")


@pytest.mark.parametrize("path", ["talking", "talking-async", "silent-async"])
def test_a_viewer_that_leaves_ends_the_view(url, key, path):
    """The generator is closed when its client has gone, be it silent or not."""
    with watching(url, f"/{path}/{key}") as viewer:
        assert next(viewer).data == {"key": key}
    wait_closed(url, key)


@pytest.mark.parametrize("path", ["talking", "talking-async"])
def test_head_does_not_call_the_view(url, key, path):
    """A HEAD has the headers of the stream, and nothing runs for it."""
    with client(url) as asking:
        response = asking.head(f"/{path}/{key}")
        assert response.headers["content-type"] == "text/event-stream"
        assert asking.get("/seen").json()["called"].get(key) is None


@pytest.mark.parametrize("path", ["/plain", "/async"])
def test_406_is_a_problem_document(url, path):
    """A stream of one's own is no document: where only that is accepted it says so."""
    response = ask(url, path, headers={"Accept": "application/json"})
    assert response.status_code == 406
    assert "sse" in problem(response)["available"]


# --------------------------------------------------------- what never starts leaves no slot


@pytest.mark.parametrize("path", ["/plain", "/async", "/slow", "/talking-async/x"])
def test_a_response_that_is_never_started_frees_its_slot(url, path):
    """However often something raises between view and body, streams can be opened after it."""
    for _ in range(MAX_STREAMS + 2):
        assert ask(url, path, headers={"X-Fail": "1"}).status_code == 500
        _wait_room(url)


@each_kind
def test_what_a_view_gave_is_closed_though_it_was_never_begun(url, key, kind):
    """An iterator of the view's own making may hold something: it is closed, and once."""
    for _ in range(3):
        # Where there is none the view is not called, and the refusal fails as well.
        _wait_room(url)
        assert ask(url, f"/hand-made{kind}/{key}", headers={"X-Fail": "1"}).status_code == 500
    wait_closed(url, key, 3)
    _wait_room(url)
    assert ask(url, f"/hand-made{kind}/{key}").status_code == 200
    wait_closed(url, key, 4)
    assert seen(url)["closed"][key] == 4


def test_a_view_that_refuses_frees_its_slot(url):
    """A view may answer with an error of its own instead of a generator."""
    codes = [ask(url, "/refusing").status_code for _ in range(MAX_STREAMS + 2)]
    assert codes == [409] * (MAX_STREAMS + 2)


def test_a_feed_that_is_never_started_is_cancelled(url, upstreams, key):
    """The run of a response that never began has lost its viewer like any other."""
    path = f"/streams/feeds/held?key={key}"
    for _ in range(MAX_STREAMS + 2):
        assert ask(url, path, headers={"X-Fail": "1"}).status_code == 500
        _wait_room(url)
    called, left = upstreams.calls, upstreams.closed_by_peer
    eventually(lambda: called[f"/held/{key}"] == left[f"/held/{key}"])


@pytest.mark.parametrize("path", ["talking", "talking-async", "silent-async"])
def test_viewers_that_leave_free_their_slots(url, key, path):
    """The bound on streams counts those that are open, and no others."""
    for n in range(MAX_STREAMS + 2):
        with watching(url, f"/{path}/{key}") as viewer:
            next(viewer)
        wait_closed(url, key, n + 1)
    _wait_room(url)


def _wait_room(url):
    eventually(lambda: ask(url, "/plain").status_code == 200)


def test_too_many_streams_are_503(url, key):
    """The bounds of the blueprint hold for the streams of the application too."""
    paths = [f"/silent-async/{key}", f"/talking/{key}", f"/streams/feeds/held?key={key}"]
    with ExitStack() as stack:
        for path in (paths * 2)[:MAX_STREAMS]:
            eventually(lambda path=path: _is_opened(stack, url, path))
        response = ask(url, "/plain")
        assert (response.status_code, response.headers["retry-after"]) == (503, "2")
        problem(response)
    _wait_room(url)


def _is_opened(stack, url, path):
    """Open a stream until the end of the stack, if there is room."""
    return stack.enter_context(watching(url, path)).response.status_code == 200


# --------------------------------------------------------------------- feeds under a prefix


def test_the_application_keeps_its_own_pages(url):
    """A blueprint under a prefix takes nothing from the application around it."""
    assert ask(url, "/").text == "my own page"
    assert ask(url, "/feeds").status_code == 404
    assert ask(url, "/none").headers["content-type"].startswith("text/html")


def test_the_page_is_under_the_prefix(url):
    """The page and its files are found there."""
    assert "<script" in ask(url, "/streams/").text
    assert ask(url, "/streams/static/app.js").status_code == 200


def test_a_feed_under_the_prefix(url):
    """A run is started by POST, and its Location leads to it under the same prefix."""
    response = ask(url, "/streams/feeds/echo", method="POST", json={})
    assert response.status_code == 201
    run = response.url.join(response.headers["location"])
    assert run.path.startswith("/streams/runs/")
    with watching(url, run.path) as viewer:
        assert viewer.until("done").data["ok"] == 1


def test_a_client_of_ones_own_is_used(url):
    """The upstream sees the auth and headers of the user's httpx client."""
    body = ask(url, "/streams/feeds/echo?format=json").json()["results"]["a"]["body"]
    headers = {name.lower(): value for name, value in body["headers"]}
    assert headers["authorization"] == "Basic dXNlcjpwYXNz"
    assert headers["x-client"] == "own"


def test_a_mock_transport_is_used(url):
    """A second blueprint with a client that reaches nobody answers as it is told."""
    document = ask(url, "/a/b/feeds/mocked?format=json").json()
    assert document["results"]["a"]["body"] == {"asked": "https://nowhere.invalid/a?b=c"}


def test_two_blueprints_do_not_mix(url):
    """Each has its own feeds."""
    assert ask(url, "/a/b/feeds/echo").status_code == 404
    assert ask(url, "/streams/feeds/mocked").status_code == 404


def test_a_call_by_an_own_client_is_cancelled(url, upstreams, key):
    """The last viewer's leaving ends the call of a user's client too."""
    with watching(url, f"/streams/feeds/held?key={key}") as viewer:
        viewer.until("start")
        upstreams.wait_calls(f"/held/{key}")
    upstreams.wait_closed_by_peer(f"/held/{key}", timeout=TIMEOUT)
