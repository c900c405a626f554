"""What a request's context leaves behind, on real servers, after a thousand streams were cut.

docs/design.md, "Contexts". What a framework does with its teardown functions is pinned here, as
views rely on it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from tests.inspecting import Inspected, inspecting
from tests.leaving import CUTS, FEEDS, leave_often
from tests.upstreams import UpstreamsThread
from tests.viewing import ask, eventually, watching

CUT = 1_000
THREADS = 40

CONFIG = f"""
[server]
drain_timeout = 1.0

{FEEDS}

[feeds.detached]
on_disconnect = "detach"
share = true
[feeds.detached.params.key]
[feeds.detached.upstreams.a]
url = "${{UPSTREAMS}}/held/{{key}}"
"""

WITH_THREADS = [
    ("flask", "gunicorn"),
    pytest.param(("flask", "waitress"), marks=pytest.mark.soak),
    pytest.param(("flask", "gevent"), marks=pytest.mark.soak),
]
# Here each request is a task, which takes its context with it when it ends.
WITH_TASKS = [
    ("quart", "uvicorn"),
    pytest.param(("quart", "hypercorn"), marks=pytest.mark.soak),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A server after `CUT` streams, each cut in its middle.

    Args:
        served: The server, which has nothing to do now.
        counts: What `Inside` has counted by then.
        of_views: How many of the streams were those of views.
    """

    app: str
    served: Inspected
    counts: dict[str, int]
    of_views: int


@pytest.fixture(scope="module", params=WITH_THREADS + WITH_TASKS, ids="-".join)
def served(request, tmp_path_factory) -> Iterator[tuple[str, Inspected]]:
    app, server = request.param
    folder = tmp_path_factory.mktemp(server)
    with UpstreamsThread() as upstreams:
        env = {"UPSTREAMS": upstreams.base_url}
        options = ["--threads", str(THREADS)]
        with inspecting(
            app, CONFIG, folder=folder, server=server, env=env, options=options
        ) as running:
            yield app, running


@pytest.fixture(scope="module")
def cut(served) -> Cut:
    app, running = served
    before = idle(running)
    leave_often(running.port, CUT, ways=CUTS)
    after = idle(running)
    counts = {name: after[name] - before.get(name, 0) for name in after}
    return Cut(app=app, served=running, counts=counts, of_views=counts["called"])


def idle(running: Inspected) -> dict[str, Any]:
    """Wait until no stream is open, no run live and no function at work; what was counted then."""
    looks = [running.look()]

    def is_idle() -> bool:
        looks.append(running.look())
        before, seen = looks[-2:]
        torn_down = [each["counts"].get("teardown_request", 0) for each in (before, seen)]
        # One is that of the look before.
        return not (seen["streams"] or seen["runs"]) and torn_down[1] - torn_down[0] == 1

    eventually(is_idle)
    counts: dict[str, Any] = looks[-1]["counts"]
    return counts


@pytest.mark.parametrize("served", WITH_THREADS, ids="-".join, indirect=True)
def test_no_thread_has_a_context(cut):
    """Each of the server's threads begins its next request in no other request's context."""
    cut.served.meet(THREADS)
    assert cut.served.look()["counts"]["entered_in_a_context"] == 0


def test_every_generator_is_closed(cut):
    """The `finally` of each view's generator has run."""
    assert cut.of_views > CUT / 3
    assert cut.counts["closed"] == cut.counts["called"]


@pytest.mark.parametrize("name", ["teardown_request", "teardown_appcontext"])
def test_every_teardown_function_has_run(cut, name):
    """Once for each request; under Flask once more after the body of a view's stream.

    The request that looks is counted by neither side.
    """
    again = cut.of_views if cut.app == "flask" else 0
    assert cut.counts[name] == cut.counts["requests"] + again


def test_no_request_is_held(cut):
    """Nothing is left of the requests of the streams that were cut."""
    eventually(lambda: set(cut.served.look()["requests"]) == {"/inside?"})


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_run_holds_no_request(served, method):
    """A run that goes on without its viewers, or beside another, holds nothing of theirs."""
    _, running = served
    url, key = running.base_url, uuid4().hex
    if method == "POST":
        started = ask(url, "/feeds/detached", method="POST", json={"key": key})
        assert started.status_code == 201, started.text
    with watching(url, f"/feeds/detached?key={key}&format=ndjson") as leaving:
        run = leaving.until("start").data["run"]
        with watching(url, f"/feeds/detached?key={key}&format=sse") as staying:
            assert staying.until("start").data["run"] == run
            leaving.response.close()
            eventually(lambda: running.look()["viewers"] == 1)
            eventually(lambda: not asked(running, "format=ndjson"))
    eventually(lambda: not asked(running, "/feeds/"))
    assert ask(url, f"/runs/{run}?format=json").json()["done"] is None
    assert ask(url, f"/runs/{run}", method="DELETE").status_code == 204


def asked(running: Inspected, part: str) -> list[str]:
    return [path for path in running.look()["requests"] if part in path]
