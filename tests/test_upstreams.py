"""The test upstreams see what their clients do, in the loop and in a thread."""

import asyncio
import json
import socket
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.upstream_asking import asked, connected, got
from tests.upstreams import BEHAVIOURS, Upstreams, UpstreamsThread


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    async with Upstreams() as serving:
        yield serving


async def test_requests_are_kept_as_they_came(upstreams):
    """Method, encoded target, headers in their order and case, body."""
    async with connected(upstreams) as (reader, writer):
        writer.write(
            b"POST /echo/a%2Fb?x=%7B&y HTTP/1.1\r\nX-One: 1\r\nx-one:  2\r\n"
            b"Content-Length: 4\r\n\r\nbody"
        )
        await reader.readuntil(b'"body": "body"}')
    (request,) = upstreams.requests
    assert (request.method, request.target) == ("POST", "/echo/a%2Fb?x=%7B&y")
    assert request.headers == [("X-One", "1"), ("x-one", "2"), ("Content-Length", "4")]
    assert (request.body, request.query) == (b"body", {"x": "{", "y": ""})
    assert (request.path, request.header("X-ONE")) == ("/echo/a%2Fb", "1")


async def test_a_chunked_request_body_is_read(upstreams):
    """The chunks of a request are put together."""
    async with connected(upstreams) as (reader, writer):
        writer.write(b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n")
        await reader.readuntil(b'"body": "abcd"}')
    assert upstreams.requests[0].body == b"abcd"


async def test_a_whole_url_as_target_counts_by_its_path(upstreams):
    """A request as it is sent to a proxy is answered like any other."""
    _, body = await got(upstreams, "http://elsewhere.test:80/json?value=x")
    assert json.loads(body)["value"] == "x"
    assert upstreams.calls == {"/json": 1}


async def test_a_connection_takes_several_requests(upstreams):
    """Right answers leave the connection open, also for requests sent in advance."""
    async with asked(upstreams, "/empty") as (reader, writer):
        writer.write(b"GET /ndjson HTTP/1.1\r\n\r\nGET /json HTTP/1.1\r\n\r\n")
        await reader.readuntil(b'"value": null')
    assert (upstreams.connections, upstreams.calls.total()) == (1, 3)


async def test_open_counts_what_is_being_answered(upstreams):
    """Two that wait are open, and none is once they have left."""
    async with asked(upstreams, "/never"), asked(upstreams, "/json?delay=9"):
        await upstreams.wait_until(lambda: upstreams.open == 2)
    await upstreams.wait_idle()
    assert upstreams.closed_by_peer == {"/never": 1, "/json": 1}


@pytest.mark.parametrize(
    "path",
    [
        *("/never", "/head-then-stall", "/stall-in-body", "/not-http"),
        *("/dripping-head", "/dripping-body", "/endless"),
    ],
)
async def test_a_peer_that_leaves_is_noticed(upstreams, path):
    """Closing is counted for the path, and its behaviour has ended by then."""
    async with asked(upstreams, path):
        await upstreams.wait_calls(path)
        assert upstreams.closed_by_peer[path] == 0
    await upstreams.wait_closed_by_peer(path)
    assert upstreams.open == 0


async def test_a_peer_that_closes_one_side_is_noticed(upstreams):
    """The end of what the client sends counts as its leaving, before anything is written."""
    async with asked(upstreams, "/never") as (_, writer):
        writer.write_eof()
        await upstreams.wait_closed_by_peer("/never")


@pytest.mark.parametrize("target", ["/json", "/large", "/sse", "/hangup", "/hangup-in-body"])
async def test_a_peer_that_leaves_afterwards_is_not_counted(upstreams, target):
    """Neither a whole answer nor one that the server broke off counts as left by the peer."""
    await got(upstreams, target)
    await upstreams.wait_idle()
    assert upstreams.closed_by_peer[target] == 0


async def test_waiting_in_vain_ends(upstreams):
    """A wait for what does not happen is a TimeoutError."""
    with pytest.raises(TimeoutError):
        await upstreams.wait_closed_by_peer("/never", timeout=0.01)


async def test_leaving_ends_what_is_under_way():
    """The end of the block closes the connections of those that still wait, at once."""
    async with Upstreams() as upstreams:
        _, writer = await asyncio.open_connection("127.0.0.1", upstreams.port)
        writer.write(b"GET /endless HTTP/1.1\r\n\r\n")
        await upstreams.wait_calls("/endless")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", upstreams.port)
    writer.transport.abort()


async def test_a_mistake_in_a_test_is_not_swallowed():
    """A parameter that a behaviour cannot read fails the test that sent it."""
    with pytest.raises(ExceptionGroup):
        async with Upstreams() as upstreams:
            await got(upstreams, "/json?delay=soon")


# --------------------------------------------------------------------- in a thread


def test_the_thread_serves_callers_that_block():
    """Requests are answered and seen from another thread."""
    with UpstreamsThread() as upstreams:
        with urllib.request.urlopen(f"{upstreams.base_url}/json?value=x", timeout=5) as answer:
            assert json.load(answer)["value"] == "x"
        upstreams.wait_idle()
        assert (upstreams.calls, upstreams.connections) == ({"/json": 1}, 1)
        assert upstreams.requests[0].target == "/json?value=x"


def test_the_thread_notices_a_peer_that_leaves():
    """Waiting for it blocks until it has left, and no longer."""
    with UpstreamsThread() as upstreams:
        with socket.create_connection(("127.0.0.1", upstreams.port)) as connection:
            connection.sendall(b"GET /never HTTP/1.1\r\n\r\n")
            upstreams.wait_calls("/never")
            assert upstreams.open == 1
            with pytest.raises(TimeoutError):
                upstreams.wait_closed_by_peer("/never", timeout=0.01)
        upstreams.wait_closed_by_peer("/never")
        assert (upstreams.closed_by_peer, upstreams.open) == ({"/never": 1}, 0)


def test_the_thread_tells_of_mistakes():
    """What failed in it is raised where it is left."""
    with pytest.raises(ExceptionGroup), UpstreamsThread() as upstreams:
        ask_wrongly(upstreams.port)


def ask_wrongly(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /status/soon HTTP/1.1\r\n\r\n")
        connection.recv(1)


def test_every_behaviour_is_tried():
    """A path that is added comes with a test."""
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_upstream*.py"))
    assert [path for path in BEHAVIOURS if f'"/{path}' not in tests] == []
