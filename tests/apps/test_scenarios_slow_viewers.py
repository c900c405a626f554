"""Viewers that read slowly or not at all, on both applications: nobody waits for them."""

import socket
from contextlib import contextmanager

import pytest

from tests.apps.scenarios import FEEDS
from tests.serving import LOOPBACK, serving
from tests.viewing import TIMEOUT, watching

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

# Pieces that come while a viewer does not read: more than the kernel holds for it, and its bound.
MISSED = 150


@pytest.fixture
def start(app, environment, tmp_path):
    """Start a server with these settings, to be used with `with`."""

    def start(settings):
        config = f"[server]\ndrain_timeout = 0.0\n{settings}\n{ENDLESS}{FEEDS}"
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
        start("max_lag_bytes = 1000000") as served,
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
