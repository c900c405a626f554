"""What the leaving of viewers means, and what never starts, on both applications.

Seen at the upstream: it counts the calls that were broken off before their answer.
"""

import socket
import struct
import time

import pytest

from tests.serving import LOOPBACK
from tests.viewing import TIMEOUT, ask, client, eventually, watching

# Seconds, with room for a machine that has other things to do.
NOTICED = 4.0


def state(url, run):
    return ask(url, f"/runs/{run}?format=json").json()


def wait_done(url, run):
    """Wait for the end of a run, without being a viewer of it."""
    return eventually(lambda: state(url, run)["done"])


def start(url, feed, key):
    return ask(url, f"/feeds/{feed}", method="POST", json={"key": key}).json()["run"]


# ------------------------------------------------------------------------- leaving


@pytest.mark.parametrize("format", ["sse", "ndjson", "text", "json"])
def test_cancel_ends_the_calls_within_a_second(served, upstreams, key, format):
    """The last viewer's leaving ends the upstream calls at once, though nothing was to be sent.

    A second is asked for; a beat, which would notice it too, comes after fifteen.
    """
    with socket.create_connection((LOOPBACK, served.port), timeout=TIMEOUT) as connection:
        target = f"/feeds/cancelled?key={key}&format={format}"
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        upstreams.wait_calls(f"/held/{key}-a")
        upstreams.wait_calls(f"/held/{key}-b")
        assert connection.recv(1)
    upstreams.wait_closed_by_peer(f"/held/{key}-a", timeout=NOTICED)
    upstreams.wait_closed_by_peer(f"/held/{key}-b", timeout=NOTICED)


def test_cancel_ends_the_calls_after_a_reset(served, upstreams, key):
    """A connection that breaks, rather than being closed, is noticed as well."""
    connection = socket.create_connection((LOOPBACK, served.port), timeout=TIMEOUT)
    connection.sendall(f"GET /feeds/cancelled?key={key} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    upstreams.wait_calls(f"/held/{key}-a")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    upstreams.wait_closed_by_peer(f"/held/{key}-a", timeout=NOTICED)


def test_a_cancelled_run_says_abandoned(url, key):
    """The log of a run that all viewers left says so."""
    with watching(url, f"/feeds/cancelled?key={key}") as viewer:
        run = viewer.until("start").data["run"]
    assert wait_done(url, run)["reason"] == "abandoned"
    assert state(url, run)["failures"]["a"]["code"] == "cancelled"


def test_cancel_waits_for_the_last_viewer(url, upstreams, release, key):
    """As long as somebody watches, nothing is cancelled."""
    with watching(url, f"/feeds/cancelled?key={key}") as staying:
        run = staying.until("start").data["run"]
        with watching(url, f"/runs/{run}") as leaving:
            leaving.until("start")
        release(f"{key}-a")
        staying.until("result", upstream="a")
        release(f"{key}-b")
        assert staying.until("done").data["reason"] == "finished"
    assert not upstreams.closed_by_peer[f"/held/{key}-b"]


def test_linger_waits_for_the_viewer_to_come_back(url, upstreams, release, key):
    """Within `linger` a viewer that lost its connection finds its run alive."""
    path = f"/feeds/silent?key={key}"
    with watching(url, path) as viewer:
        start = viewer.until("start")
    with watching(url, path, headers={"Last-Event-ID": start.id}) as viewer:
        release(key)
        assert viewer.until("done").data["reason"] == "finished"
    assert upstreams.calls[f"/held/{key}"] == 1


def test_linger_ends_the_run_at_last(url, upstreams, key):
    """After `linger` without a viewer the calls end, and not before."""
    with watching(url, f"/feeds/lingering?key={key}") as viewer:
        run = viewer.until("start").data["run"]
        upstreams.wait_calls(f"/held/{key}")
        left = time.monotonic()
    upstreams.wait_closed_by_peer(f"/held/{key}")
    assert time.monotonic() - left >= 0.9
    assert wait_done(url, run)["reason"] == "abandoned"


def test_detach_goes_on_without_viewers(url, upstreams, release, key):
    """A detached run finishes for whoever comes later."""
    with watching(url, f"/feeds/detached?key={key}") as viewer:
        run = viewer.until("start").data["run"]
    # Its linger is over long before another feed's, which is watched instead of a clock.
    run_left = start(url, "cancelled", key)
    assert wait_done(url, run_left)["reason"] == "abandoned"
    release(key)
    assert wait_done(url, run)["reason"] == "finished"
    assert not upstreams.closed_by_peer[f"/held/{key}"]


def test_a_run_without_a_first_viewer_waits_linger(url, upstreams, key):
    """A POST's run waits `linger` for a viewer, also under `cancel`, and then ends."""
    began = time.monotonic()
    run = start(url, "cancelled", key)
    upstreams.wait_closed_by_peer(f"/held/{key}-a")
    assert time.monotonic() - began >= 0.9
    assert wait_done(url, run)["reason"] == "abandoned"


def test_a_run_that_finds_its_viewer_goes_on(url, release, key):
    """Once a viewer has come, `linger` is not counted on."""
    run = start(url, "cancelled", key)
    with watching(url, f"/runs/{run}") as viewer:
        viewer.until("start")
        assert wait_done(url, start(url, "cancelled", f"{key}-other"))["reason"] == "abandoned"
        for name in "ab":
            release(f"{key}-{name}")
        assert viewer.until("done").data["reason"] == "finished"


# ------------------------------------------------------------------- what never starts


@pytest.mark.parametrize("format", ["sse", "ndjson", "text", "json"])
def test_head_starts_nothing(url, upstreams, key, format):
    """A HEAD answers the headers of its GET, and calls no upstream."""
    path = f"/feeds/quick?key={key}&format={format}"
    head = ask(url, path, method="HEAD")
    get = ask(url, f"/feeds/one?format={format}")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "cache-control", "x-accel-buffering", "vary"):
        assert head.headers[name] == get.headers[name]
    assert not upstreams.calls[f"/json/{key}-a"]


@pytest.mark.parametrize(
    "path",
    ["/feeds/one", "/feeds", "/feeds/none", "/healthz", "/", "/openapi.json", "/static/app.js"],
)
def test_a_connection_goes_on_after_head(served, path):
    """The second request on a connection is answered, whatever the HEAD before it was for."""
    with client(served.base_url) as asking:
        asking.head(path)
        # httpx would open another connection if this one had not been left in order.
        assert asking.get("/healthz").json() == {"status": "alive"}
        pool = asking._transport._pool
        assert len(pool.connections) == 1


def test_two_requests_on_one_connection(served):
    """A HEAD and a GET sent together are answered one after the other, byte for byte."""
    both = (
        b"HEAD /feeds/one HTTP/1.1\r\nHost: test\r\n\r\nGET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"
    )
    with socket.create_connection((LOOPBACK, served.port), timeout=TIMEOUT) as connection:
        connection.sendall(both)
        answers = b""
        while b'"alive"}' not in answers:
            piece = connection.recv(4096)
            assert piece, answers
            answers += piece
    first, _, second = answers.partition(b"\r\n\r\n")
    assert b"text/event-stream" in first
    assert second.startswith(b"HTTP/1.1 200")


def test_clients_that_leave_at_once_leave_nothing(served, url, upstreams, key):
    """Viewers that hang up before the first byte are closed all the same, and their runs end."""
    for _ in range(20):
        with socket.create_connection((LOOPBACK, served.port), timeout=TIMEOUT) as connection:
            request = f"GET /feeds/cancelled?key={key} HTTP/1.1\r\nHost: test\r\n\r\n"
            connection.sendall(request.encode())
    assert ask(url, "/healthz").status_code == 200
    for name in (f"/held/{key}-a", f"/held/{key}-b"):
        eventually(lambda name=name: upstreams.calls[name] == upstreams.closed_by_peer[name])
