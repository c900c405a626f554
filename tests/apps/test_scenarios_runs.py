"""Runs by their own address: started, looked at and ended, on both applications."""

import pytest

from tests.viewing import ask, eventually, problem, watching

UNKNOWN_RUN = "0" * 32


def start(url, feed, key, **more):
    """Start a run and return its id."""
    response = ask(url, f"/feeds/{feed}", method="POST", json={"key": key, **more})
    assert response.status_code == 201, response.text
    return response.json()["run"]


def test_post_starts_a_run_and_says_where(url, upstreams, release, key):
    """A POST answers at once with the run, its parameters and a way that keeps a prefix."""
    response = ask(url, "/feeds/held", method="POST", json={"key": key})
    run = response.json()["run"]
    assert response.status_code == 201
    assert response.json() == {"run": run, "feed": "held", "params": {"key": key}}
    assert response.headers["location"] == f"../runs/{run}"
    assert response.url.join(response.headers["location"]).path == f"/runs/{run}"
    upstreams.wait_calls(f"/held/{key}")
    release(key)


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_told_by_its_type(url, key, content_type):
    """The type of the body may have any case and a charset."""
    body = f'{{"key": "{key}"}}'
    headers = {"Content-Type": content_type}
    response = ask(url, "/feeds/quick", method="POST", content=body, headers=headers)
    assert response.status_code == 201


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_another_type_is_415(url, content_type):
    """What a form could send from any site is no JSON."""
    headers = {"Content-Type": content_type} if content_type else {}
    response = ask(url, "/feeds/quick", method="POST", content=b'{"key": "x"}', headers=headers)
    assert response.status_code == 415
    problem(response)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b'"key"', b"null", b"1", b"{'key': 1}", b'{"key": "a"} x'),
        b'{"key": "\xff"}',
        b'{"key": "\\ud800"}',
        b'{"key": NaN}',
        b'{"key": "a\x00"}',
        b"[" * 4000,
        b'{"key":' * 500,
        b"\xef\xbb\xbf",
    ],
)
def test_what_is_no_json_object_is_400(url, body):
    """A body that cannot be read as an object is told so, however it is broken."""
    headers = {"Content-Type": "application/json"}
    response = ask(url, "/feeds/quick", method="POST", content=body, headers=headers)
    assert response.status_code == 400
    problem(response)


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
def test_post_that_accepts_a_stream_is_the_stream(url, key, accept):
    """A client that names a stream in `Accept` is given it at once."""
    more = {"json": {"key": key}, "headers": {"Accept": accept}}
    with watching(url, "/feeds/quick", method="POST", **more) as viewer:
        assert viewer.response.status_code == 200
        assert viewer.response.headers["content-type"] == accept
        assert viewer.until("done").data["ok"] == 2


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html", "text/*"])
def test_post_that_names_no_stream_is_a_document(url, key, accept):
    """A wildcard is no wish for a stream."""
    more = {"json": {"key": key}, "headers": {"Accept": accept}}
    assert ask(url, "/feeds/quick", method="POST", **more).status_code == 201


def test_a_running_run_tells_its_state(url, release, key):
    """As JSON a live run is answered at once: what is there, and `done` null."""
    run = start(url, "held", key)
    with watching(url, f"/runs/{run}") as viewer:
        viewer.until("result", upstream="a")
        state = ask(url, f"/runs/{run}?format=json").json()
        assert (state["run"], state["feed"], state["params"]) == (run, "held", {"key": key})
        assert (state["results"].keys(), state["failures"], state["done"]) == ({"a"}, {}, None)
        release(key)
        viewer.until("done")
    state = ask(url, f"/runs/{run}", headers={"Accept": "application/json"}).json()
    assert (state["results"].keys(), state["done"]["reason"]) == ({"a", "b"}, "finished")


def test_a_run_is_read_from_its_start_each_time(url, key):
    """The address of a run gives all of its events, also after its end."""
    run = start(url, "quick", key)
    with watching(url, f"/runs/{run}") as first:
        events = first.rest()
    with watching(url, f"/runs/{run}") as second:
        assert second.rest() == events
    assert [event.event for event in events] == ["start", "result", "result", "done"]


def test_delete_ends_a_run_for_all(url, upstreams, key):
    """After a DELETE's 204 the end is in the log, and the upstream calls are over."""
    run = start(url, "held", key)
    with watching(url, f"/runs/{run}") as viewer:
        viewer.until("result", upstream="a")
        upstreams.wait_calls(f"/held/{key}")
        response = ask(url, f"/runs/{run}", method="DELETE")
        assert (response.status_code, response.content) == (204, b"")
        assert ask(url, f"/runs/{run}?format=json").json()["done"]["reason"] == "stopped"
        failure, done = viewer.rest()
    assert (failure.data["upstream"], failure.data["code"]) == ("b", "cancelled")
    assert (done.data["ok"], done.data["cancelled"], done.data["reason"]) == (1, 1, "stopped")
    upstreams.wait_closed_by_peer(f"/held/{key}")


def test_delete_may_come_twice(url, key):
    """A run that has ended is ended; its end stays what it was."""
    run = start(url, "held", key)
    codes = [ask(url, f"/runs/{run}", method="DELETE").status_code for _ in range(2)]
    assert codes == [204, 204]
    done = [event for event in ask(url, f"/runs/{run}").text.splitlines() if '"reason"' in event]
    assert len(done) == 1


def test_delete_ends_a_shared_run_at_once(url, release, key):
    """A request after the DELETE does not join what is ending."""
    run = start(url, "shared", key)
    assert ask(url, f"/runs/{run}", method="DELETE").status_code == 204
    assert start(url, "shared", key) != run
    release(key)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("run", [UNKNOWN_RUN, "x", "..%2f..%2fetc", "%00", "%ff", "x" * 1000])
def test_an_unknown_run_is_404(url, method, run):
    """A run that is not there, or cannot be, is told so."""
    response = ask(url, f"/runs/{run}", method=method)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_a_run_is_gone_after_keep(url, key):
    """A run is forgotten `keep` seconds after its end; its ids name nothing any more."""
    with watching(url, f"/feeds/forgotten?key={key}") as viewer:
        events = viewer.rest()
    run = events[0].data["run"]
    eventually(lambda: ask(url, f"/runs/{run}").status_code == 404)
    reset, new, *_ = _events(url, f"/feeds/forgotten?key={key}", events[-1].id)
    assert (reset.data["reason"], new.event) == ("unknown", "start")


def _events(url, path, id):
    with watching(url, path, headers={"Last-Event-ID": id}) as viewer:
        return viewer.rest()


def test_a_parameter_of_a_run_is_refused(url, key):
    """A run's parameters were given when it began."""
    run = start(url, "quick", key)
    response = ask(url, f"/runs/{run}?key={key}")
    assert response.status_code == 422
    assert problem(response)["parameter"] == "key"
