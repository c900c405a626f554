"""Requests that are too large in any way, to both applications: a clear answer, and no memory."""

import http.client
import json
import socket
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.raw_asking import ask_raw, head
from tests.viewing import TIMEOUT, ask

MAX_GROWTH_MB = 48
"""More than an answer costs, and far less than is sent."""

SENT = 128 << 20
PIECE = b"x" * (1 << 20)


def resident_mb(served):
    """The memory of the server's processes."""
    pids, found = [served.process.pid], 0
    while pids:
        pid = pids.pop()
        with suppress(OSError):
            found += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 >> 20
            tasks = Path(f"/proc/{pid}/task").glob("*/children")
            pids += [int(child) for task in tasks for child in task.read_text().split()]
    return found


def flood(served, beginning, piece=PIECE):
    """Send a request that does not end, as long as it is taken."""
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=1.0)) as connection:
        connection.sendall(beginning)
        sent = 0
        with suppress(OSError):
            while sent < SENT:
                sent += connection.send(piece)
        return resident_mb(served)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_body_without_end_costs_no_memory(served, release, key, method):
    """A client that goes on sending while it is answered has nobody keep what it sends."""
    before = resident_mb(served)
    request = (
        f"{method} /feeds/silent?key={key} HTTP/1.1\r\nHost: a\r\nContent-Length: {SENT * 2}\r\n"
    )
    after = flood(served, f"{request}Content-Type: application/json\r\n\r\n".encode())
    release(key)
    assert after - before < MAX_GROWTH_MB


@pytest.mark.parametrize("beginning", [b"", b"X-A: "], ids=["fields", "a field"])
def test_a_head_without_end_costs_no_memory(served, beginning):
    """However it goes on, it is refused before it is whole."""
    before = resident_mb(served)
    piece = PIECE if beginning else b"X-A: x\r\n" * 10_000
    after = flood(served, b"GET /feeds/one HTTP/1.1\r\nHost: a\r\n" + beginning, piece)
    assert after - before < MAX_GROWTH_MB


@pytest.mark.parametrize("piece", [b"X-A: x\r\n" * 10_000, PIECE], ids=["fields", "a field"])
@pytest.mark.parametrize("target", ["healthz", "feeds/silent?key={}"], ids=["answered", "open"])
def test_trailers_without_end_cost_no_memory(served, release, key, target, piece):
    """What follows a body is part of no request, be that answered by now or not."""
    before = resident_mb(served)
    head = f"GET /{target.format(key)} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    after = flood(served, f"{head}0\r\nX-A: ".encode(), piece)
    release(key)
    assert after - before < MAX_GROWTH_MB


@pytest.mark.parametrize("extension", [b"", b"0;a="], ids=["size", "extension"])
def test_the_frame_of_a_chunk_without_end_costs_no_memory(served, extension):
    """Neither its size nor what is said of it goes on for ever."""
    before = resident_mb(served)
    head = b"POST /feeds/one HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    after = flood(served, head + extension, b"0" * len(PIECE))
    assert after - before < MAX_GROWTH_MB


@pytest.mark.parametrize(
    "request_head",
    [
        head(b"GET", b"/feeds/one", *[(b"X-%d" % n, b"x") for n in range(50_000)]),
        head(b"GET", b"/feeds/one", (b"Cookie", b"x" * 500_000)),
        head(b"GET", b"/feeds/one?last_event_id=" + b"x" * 500_000),
    ],
    ids=["fields", "a field", "a query"],
)
def test_a_head_that_is_too_long_is_refused(served, request_head):
    """Each server has a bound on the head of a request, and says so."""
    assert ask_raw(served.port, request_head).status in (400, 414, 431)


def test_parameters_without_number_are_422(url):
    """The first that is not known is named."""
    answer = ask(url, "/feeds/one?" + "&".join(f"p{n}=1" for n in range(1000)))
    assert (answer.status_code, answer.json()["parameter"]) == (422, "p0")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 2000 + b"]" * 2000, 400),
        (b'{"text":' * 400 + b"1" + b"}" * 400, 422),
        (b'{"text":' + b"[" * 1900 + b"]" * 1900 + b"}", 400),
        (b'{"text":"a","count":' + b"9" * 4000 + b"}", 422),
        (b'{"text":"a","size":0.' + b"1" * 3900 + b"}", 201),
        (b'{"text":"a","size":1e999999}', 400),
        (b'{"text":"a","size":NaN}', 400),
        (b'{"text":"a","size":-Infinity}', 400),
        (b'{"text":"a"}\0', 400),
        (b'{"text":"\\ud800"}', 400),
        (b'{"text":"\xed\xa0\x80"}', 400),
        ('{"text":"a"}'.encode("utf-16"), 400),
        (b"null", 400),
        (b"", 400),
        (b"{" + b",".join(b'"k%d":1' % n for n in range(300)) + b"}", 422),
        (b'{"' + b"k" * 4000 + b'":1}', 422),
    ],
    ids=range(16),
)
def test_a_body_at_the_edge_of_json(url, body, status):
    """Deep, long, or beyond what JSON has: refused as what it is, and never an error here."""
    headers = {"Content-Type": "application/json"}
    answer = ask(url, "/feeds/typed", method="POST", content=body, headers=headers)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("size", [1 << 20, 10**12])
def test_a_body_that_says_it_is_too_large_is_not_waited_for(served, size):
    """Who asks before it sends is told at once, and need not."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=TIMEOUT)
    with closing(connection):
        connection.putrequest("POST", "/feeds/one")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(size))
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["status"]) == (413, 413)
