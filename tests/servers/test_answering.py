"""Requests and the beginnings of answers, in which servers differ: heads, HEAD, bodies, logs."""

import http.client
import json
import socket
import time

import pytest

from tests.serving import LOOPBACK
from tests.viewing import TIMEOUT, ask, client, reading


@pytest.mark.parametrize("format", ["sse", "ndjson", "text", "json"])
def test_a_stream_is_live(stack, served, upstreams, key, record, format):
    """The head and the first bytes are there before any upstream has answered, then the rest."""
    asked = time.monotonic()
    with reading(served.port, f"/feeds/held?key={key}&format={format}") as response:
        assert response.status == 200
        assert response.read1(1)
        record(stack, "preamble", time.monotonic() - asked)
        ask(upstreams.base_url, f"/release/{key}")
        assert f'{{"key":"{key}","monotonic":' in response.read().decode().replace(" ", "")


@pytest.mark.parametrize("target", ["/feeds/held?key=x", "/feeds/held?key=x&format=json", "/"])
def test_a_connection_goes_on_after_head(stack, served, record, target):
    """A HEAD leaves its connection in order, or closes it: the next request is answered."""
    with client(served.base_url) as asking:
        head = asking.head(target)
        assert (head.status_code, head.content) == (200, b"")
        assert asking.get("/healthz").json() == {"status": "alive"}
    is_closed = head.headers.get("connection", "").lower() == "close"
    record(
        stack, "HEAD, then another", "answered, on a new connection" if is_closed else "answered"
    )


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


def test_a_body_that_says_it_is_endless_is_not_waited_for(served):
    """It is refused by its length, before any of it has come."""
    connection = http.client.HTTPConnection(LOOPBACK, served.port, timeout=TIMEOUT)
    connection.putrequest("POST", "/feeds/quick")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(10**9))
    connection.endheaders()
    assert connection.getresponse().status == 413
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
