"""The orderly end of `fanstream serve` with streams open, on both applications.

Each test ends a server of its own.
"""

import socket
import time

import pytest

from tests.apps.scenarios import FEEDS
from tests.serving import LOOPBACK, serving
from tests.viewing import TIMEOUT, ask, eventually, problem, watching

LARGE = """
[feeds.large.upstreams.a]
url = "${UPSTREAMS}/endless"
read = "stream"
"""


@pytest.fixture
def ending(app, environment, tmp_path):
    """Start a server that is going to be ended, with this `drain_timeout`."""

    def start(drain_timeout):
        config = f"[server]\ndrain_timeout = {drain_timeout}\n{LARGE}{FEEDS}"
        return serving(app, config, folder=tmp_path, env=environment)

    return start


def wait_draining(url):
    """Wait until the process says that it takes no more work."""
    eventually(lambda: ask(url, "/readyz").status_code == 503)


def test_a_run_may_finish(ending, release, key):
    """Told to end, the server takes nothing new, and lets live runs finish for their viewers."""
    with ending(20.0) as served:
        with watching(served.base_url, f"/feeds/shared?key={key}") as viewer:
            start = viewer.until("start")
            served.signal()
            wait_draining(served.base_url)
            refused = ask(served.base_url, f"/feeds/quick?key={key}")
            assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
            problem(refused)
            assert ask(served.base_url, "/healthz").status_code == 200
            # What is live can still be joined by its id.
            path = f"/runs/{start.data['run']}"
            with watching(served.base_url, path) as resumed:
                assert resumed.until("start") == start
            release(key)
            assert viewer.until("done").data["reason"] == "finished"
        assert served.wait(timeout=5.0) == 0


def test_what_does_not_finish_is_ended(ending, key):
    """What lives too long is cancelled, says so, and the process is gone in time."""
    drain_timeout = 2.5
    with (
        ending(drain_timeout) as served,
        watching(served.base_url, f"/feeds/held?key={key}") as sse,
        watching(served.base_url, f"/feeds/held?key={key}&format=ndjson") as ndjson,
        watching(served.base_url, f"/feeds/detached?key={key}") as detached,
    ):
        sse.until("result")
        ndjson.until("result")
        told = time.monotonic()
        served.signal()
        for viewer in (sse, ndjson, detached):
            assert viewer.until("failure").data["code"] == "cancelled"
            assert viewer.until("done").data["reason"] == "shutdown"
            assert viewer.rest() == []
        assert served.wait() == 0
        assert time.monotonic() - told < drain_timeout + 2


def test_a_viewer_that_reads_nothing_does_not_hold_up_the_end(ending, upstreams):
    """A client that takes nothing any more cannot keep the process alive."""
    drain_timeout = 1.0
    with (
        ending(drain_timeout) as served,
        socket.create_connection((LOOPBACK, served.port), timeout=TIMEOUT) as connection,
    ):
        connection.sendall(b"GET /feeds/large HTTP/1.1\r\nHost: test\r\n\r\n")
        upstreams.wait_calls("/endless")
        assert connection.recv(1)
        told = time.monotonic()
        served.signal()
        assert served.wait() == 0
        assert time.monotonic() - told < drain_timeout + 2 + 1.0
        assert "Traceback" not in served.log()


def test_ctrl_c_twice_ends_at_once(ending, key):
    """The first Ctrl-C lets runs finish; the second one does not wait for them."""
    with ending(60.0) as served, watching(served.base_url, f"/feeds/held?key={key}") as viewer:
        viewer.until("result")
        served.interrupt()
        wait_draining(served.base_url)
        assert served.process.poll() is None
        served.interrupt()
        served.wait(timeout=4.0)
        assert "Traceback" not in served.log()


def test_ctrl_c_reaches_the_server_once(ending, release, key):
    """Ctrl-C in a terminal is an orderly end too: the server itself is not interrupted by it."""
    with ending(20.0) as served:
        with watching(served.base_url, f"/feeds/held?key={key}") as viewer:
            viewer.until("result")
            served.interrupt()
            wait_draining(served.base_url)
            release(key)
            assert viewer.until("done").data["reason"] == "finished"
        assert served.wait(timeout=5.0) == 0
