"""The demo's HTTP, where the demo itself does not lead: bad requests, and clients that leave."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from streaming.demo.http import MAX_MESSAGE_BYTES
from streaming.demo.server import DemoUpstreams

BROKEN = b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
async def demo() -> AsyncIterator[DemoUpstreams]:
    async with asyncio.timeout(10), DemoUpstreams() as upstreams:
        yield upstreams


async def said_to(demo: DemoUpstreams, *pieces: bytes) -> bytes:
    """Send the pieces, and give all that comes until the connection ends."""
    reader, writer = await asyncio.open_connection(demo.host, demo.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.02)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_requests_follow_one_another(demo):
    """Each gets its answer, and the connection ends with the one that says so."""
    last = b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answers = await said_to(demo, BROKEN, BROKEN[:9], BROKEN[9:], last)
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"500", b"500", b"404"]


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"GET /weather HTTP/1.1\r\nHost: a\r\n\r\n" * 2,
        b"POST /tokens HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n" + bytes(MAX_MESSAGE_BYTES),
        b"GET /" + b"x" * MAX_MESSAGE_BYTES,
    ],
    ids=["not HTTP", "two at once", "a body without end", "a target without end"],
)
async def test_what_is_no_request_is_hung_up_on(demo, said):
    """At once, and without an answer."""
    assert await said_to(demo, said) == b""


async def test_a_body_may_come_in_chunks(demo):
    """It is read as any other."""
    head = b"POST /tokens HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    body = b'{"messages": [{"content": "Why?"}]}'
    answer = await said_to(demo, head, b"%x\r\n%b\r\n" % (len(body), body), b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
    assert answer.endswith(b"0\r\n\r\n")
