"""Viewers that read slowly or not at all, on both applications: nobody waits for them."""

import socket
import time
from contextlib import contextmanager

import pytest

from tests.apps.scenarios import FEEDS
from tests.serving import LOOPBACK, serving
from tests.viewing import TIMEOUT, ask, watching

# 64 KiB a piece, as fast as the others read them.
ENDLESS = """
[feeds.endless]
share = true
on_disconnect = "cancel"
[feeds.endless.params.key]
[feeds.endless.upstreams.a]
url = "${UPSTREAMS}/endless/{key}?delay=0.002"
read = "stream"
"""

# One event, and one document, that take far longer than `SEND_TIMEOUT` to read at this pace, also
# behind the four megabytes or so that a kernel holds of it. A thread that sends has to wait until
# a third of these have gone: half a second.
SEND_TIMEOUT = 1.2
STEADY_BYTES = 125_000
INTERVAL = 0.05
LONG_BYTES = 15_000_000
LONG = f"""
[log]
max_log_bytes = 64_000_000
[feeds.long]
on_disconnect = "detach"
[feeds.long.upstreams.a]
url = "${{UPSTREAMS}}/long-line?bytes={LONG_BYTES}"
read = "text"
max_bytes = {LONG_BYTES + 1}
"""

LAST_CHUNK = b"\r\n0\r\n\r\n"

# Pieces that come while a viewer does not read: more than the kernel holds for it, and its bound.
MISSED = 150


@pytest.fixture
def start(app, environment, tmp_path):
    """Start a server with these settings, to be used with `with`."""

    def start(settings):
        config = f"[server]\ndrain_timeout = 0.0\n{settings}\n{ENDLESS}{LONG}{FEEDS}"
        return serving(app, config, folder=tmp_path, env=environment)

    return start


@contextmanager
def deaf_viewer(served, path):
    """Open a stream and read none of it; what is read later is the caller's to read."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        connection.settimeout(TIMEOUT)
        connection.connect((LOOPBACK, served.port))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        yield connection


def test_a_viewer_that_lags_is_sent_away(start, key):
    """Who is too far behind is told to come back, and others go on undisturbed."""
    path = f"/feeds/endless?key={key}"
    with (
        start("max_lag_bytes = 4000000") as served,
        watching(served.base_url, f"{path}&format=ndjson") as other,
        deaf_viewer(served, path) as connection,
    ):
        other.until("start")
        # The deaf one has joined once its head is there.
        seen = connection.recv(1024)
        other.until("chunk", n=other.until("chunk").data["n"] + MISSED)
        with connection.makefile("rb") as answer:
            while b'data: {"reason":"lagging","reconnect_ms":2000}\n\n' not in seen:
                piece = answer.read1(65536)
                assert piece, "no shutdown"
                seen = seen[-100:] + piece
        assert other.until("chunk").data["n"] > MISSED


def test_a_viewer_that_takes_nothing_is_cut_off(start, upstreams, key):
    """After `send_timeout` the connection is closed, and the run has lost its last viewer."""
    path = f"/feeds/endless?key={key}"
    with (
        start("send_timeout = 0.5\nmax_lag_bytes = 1000000000") as served,
        deaf_viewer(served, path),
    ):
        upstreams.wait_calls(f"/endless/{key}")
        upstreams.wait_closed_by_peer(f"/endless/{key}", timeout=TIMEOUT)


def test_who_reads_steadily_is_not_cut_off(start):
    """However long an event or a document is: whatever a client takes is headway."""
    with start(f"send_timeout = {SEND_TIMEOUT}") as served:
        run = ask(served.base_url, "/feeds/long?format=json").json()["run"]
        with (
            deaf_viewer(served, f"/runs/{run}?format=sse") as event,
            deaf_viewer(served, f"/runs/{run}?format=json") as document,
        ):
            began = time.monotonic()
            ends = read_steadily([event, document])
    assert time.monotonic() - began > LONG_BYTES / STEADY_BYTES * INTERVAL
    assert ends == [(LAST_CHUNK, True)] * 2


def read_steadily(connections):
    """Read all to their ends; return what each ended with, and whether it had the long text."""
    seen = dict.fromkeys(connections, 0)
    ends = dict.fromkeys(connections, b"")
    reading = list(connections)
    while reading:
        for connection in list(reading):
            try:
                piece = connection.recv(STEADY_BYTES)
            except ConnectionResetError:
                piece = b""
            seen[connection] += len(piece)
            ends[connection] = (ends[connection] + piece)[-len(LAST_CHUNK) :]
            if not piece or ends[connection] == LAST_CHUNK:
                reading.remove(connection)
        time.sleep(INTERVAL)
    return [(ends[each], seen[each] > LONG_BYTES) for each in connections]
