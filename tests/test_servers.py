"""Every server of the table with its application: streams live, are left, and end with it.

What the scenarios show on the default servers is not repeated here; these are the points in which
servers differ.
"""

import http.client
import importlib.util
import json
import os
import socket
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest

from streaming.servers import SERVERS
from tests.serving import LOOPBACK, Served, serving
from tests.upstreams import UpstreamsThread
from tests.viewing import TIMEOUT, ask, client, reading, watching

DRAIN_TIMEOUT = 2.0

CONFIG = f"""
[server]
drain_timeout = {DRAIN_TIMEOUT}

[feeds.quick.params.key]
[feeds.quick.upstreams.a]
url = "${{UPSTREAMS}}/json/{{key}}"

[feeds.held]
on_disconnect = "cancel"
[feeds.held.params.key]
[feeds.held.upstreams.a]
url = "${{UPSTREAMS}}/held/{{key}}"
"""

PAIRS = [(app, name) for app, servers in SERVERS.items() for name in servers]


@pytest.fixture(scope="module")
def upstreams() -> Iterator[UpstreamsThread]:
    with UpstreamsThread() as running:
        yield running


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def served(request, upstreams, tmp_path_factory) -> Iterator[Served]:
    """An application on one of its servers; ending it is a test of its own, the last one."""
    app, name = request.param
    if importlib.util.find_spec(SERVERS[app][name].package) is None and "CI" not in os.environ:
        pytest.skip(f"{name} is not installed")
    folder = tmp_path_factory.mktemp(name)
    env = {"UPSTREAMS": upstreams.base_url}
    with serving(app, CONFIG, folder=folder, server=name, env=env) as running:
        yield running


@pytest.fixture
def key():
    return uuid4().hex


def release(upstreams, key):
    ask(upstreams.base_url, f"/release/{key}")


@pytest.mark.parametrize("format", ["sse", "ndjson", "json"])
def test_a_stream_is_live(served, upstreams, key, format):
    """The head and the first bytes are there before any upstream has answered, then the rest."""
    with reading(served.port, f"/feeds/held?key={key}&format={format}") as response:
        assert response.status == 200
        assert response.read1(1)
        release(upstreams, key)
        assert b"finished" in response.read()


def test_a_viewer_that_leaves_is_noticed(served, upstreams, key):
    """The last viewer's leaving ends the upstream call, by whatever means the server has."""
    with watching(served.base_url, f"/feeds/held?key={key}") as viewer:
        viewer.until("start")
        upstreams.wait_calls(f"/held/{key}")
    # Where nothing else tells it is a failing write: the third beat, of a second each.
    upstreams.wait_closed_by_peer(f"/held/{key}", timeout=10.0)


def test_a_connection_goes_on_after_head(served, key):
    """A HEAD for a stream leaves its connection in order, or closes it."""
    with client(served.base_url) as asking:
        assert asking.head(f"/feeds/held?key={key}").status_code == 200
        assert asking.get("/healthz").json() == {"status": "alive"}


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_in_pieces_is_read_whole(served, key, is_chunked):
    """A request's body that comes in several packets is waited for, with or without a length."""
    body = json.dumps({"key": key}).encode().ljust(3000)
    connection = http.client.HTTPConnection(LOOPBACK, served.port, timeout=TIMEOUT)
    connection.putrequest("POST", "/feeds/quick")
    connection.putheader("Content-Type", "application/json")
    if is_chunked:
        connection.putheader("Transfer-Encoding", "chunked")
    else:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in (body[:10], body[10:1000], body[1000:]):
        connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
        # Another request is answered in the meantime, which proves that this one waits.
        assert ask(served.base_url, "/healthz").status_code == 200
    if is_chunked:
        connection.send(b"0\r\n\r\n")
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["params"]) == (201, {"key": key})
    connection.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /feeds?access_token=pr1vate x HTTP/1.1\r\nHost: test\r\n\r\n",
        b"GET /feeds?access_token=pr1vate\xff HTTP/1.1\r\nHost: test\r\n\r\n",
        b"GET /feeds HTTP/1.1\r\nAuthorization pr1vate\r\n\r\n",
        b"GET /feeds?access_token=pr1vate HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
    ],
)
def test_no_request_is_logged(served, request_):
    """Neither a right request nor a malformed one leaves its query or its headers in the log."""
    with socket.create_connection((LOOPBACK, served.port), timeout=TIMEOUT) as connection:
        connection.sendall(request_)
        # To its end: waitress trips over a client that leaves before the answer to a malformed one.
        with connection.makefile("rb") as answer:
            assert answer.read()
    assert ask(served.base_url, "/healthz").status_code == 200
    assert "pr1vate" not in served.log()


def test_it_ends_with_a_stream_open(served, key):
    """Told to end, the server says the last words on its streams and is gone in time."""
    with watching(served.base_url, f"/feeds/held?key={key}") as viewer:
        viewer.until("start")
        told = time.monotonic()
        served.signal()
        assert viewer.until("done").data["reason"] == "shutdown"
    assert served.wait() == 0
    assert time.monotonic() - told < DRAIN_TIMEOUT + 2
    assert "Traceback" not in served.log()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, served.port), timeout=1)
