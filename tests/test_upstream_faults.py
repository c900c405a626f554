"""The test upstreams that break off, stall, drip and never end do exactly that."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.upstream_asking import asked, got, got_whole, read_until_silence
from tests.upstreams import Upstreams


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    async with Upstreams() as serving:
        yield serving


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("/never", b""),
        ("/head-then-stall", b"Content-Length: 1000\r\n\r\n"),
        ("/stall-in-body", b'\r\n\r\n{"a": '),
        ("/not-http", b"SSH-2.0-OpenSSH_9.6\r\n"),
    ],
)
async def test_stalling_sends_so_much_and_stays(upstreams, path, end):
    """What there is comes, then nothing, and the connection stays open."""
    async with asked(upstreams, path) as (reader, _):
        data = await read_until_silence(reader)
        assert not reader.at_eof()
    assert data.endswith(end)
    assert bool(data) == bool(end)


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("/hangup", b""),
        ("/hangup-in-body", b'Content-Length: 1000\r\n\r\n{"a": '),
        ("/chunked-cut", b'8\r\n{"a": 1}\r\n'),
        ("/sse-cut", b"\r\n"),
    ],
)
async def test_hanging_up_closes_in_order_and_too_early(upstreams, path, end):
    """What there is comes, then the end of the connection, without the end of an answer."""
    async with asked(upstreams, path) as (reader, _):
        data = await reader.read(-1)
    assert data.endswith(end)
    assert not data.endswith(b"0\r\n\r\n")
    assert bool(data) == bool(end)


@pytest.mark.parametrize("path", ["/reset", "/reset-in-body"])
async def test_reset_breaks_off(upstreams, path):
    """The connection ends by a reset, before an answer or behind its beginning."""
    async with asked(upstreams, path) as (reader, _):
        if path == "/reset-in-body":
            await reader.readuntil(b'{"a": ')
        with pytest.raises(ConnectionResetError):
            await reader.read(1)


async def test_the_head_drips_without_end(upstreams):
    """One byte after the other, and no line ends."""
    async with asked(upstreams, "/dripping-head?delay=0.001") as (reader, _):
        assert (await reader.readexactly(60)).endswith(b"\r\nX-Drip: " + b"x" * 35)


async def test_the_body_drips_without_end(upstreams):
    """One byte in a chunk after the other."""
    async with asked(upstreams, "/dripping-body?delay=0.001") as (reader, _):
        await reader.readuntil(b"\r\n\r\n" + b"1\r\nx\r\n" * 20)


async def test_the_huge_header_is_one_line(upstreams):
    """A line of the head is over 1 MiB."""
    head, body = await got(upstreams, "/huge-header")
    assert max(map(len, head.split("\r\n"))) > 1 << 20
    assert body == b"{}"


async def test_large_is_as_large_as_asked_for(upstreams):
    """All its bytes come, and no more."""
    _, _, body = await got_whole(upstreams, "/large?bytes=100000")
    assert body == b"x" * 100_000


async def test_endless_sends_on_while_it_is_read(upstreams):
    """More than any buffer holds can be read, and no end comes."""
    async with asked(upstreams, "/endless") as (reader, _):
        await reader.readexactly(20 << 20)
        assert upstreams.open == 1


async def test_endless_waits_for_a_peer_that_does_not_read(upstreams):
    """Once the buffers are full it waits, rather than filling the memory."""
    async with asked(upstreams, "/endless") as (_, writer):
        writer.transport.pause_reading()
        await asyncio.sleep(0.2)
        before = time.process_time()
        await asyncio.sleep(0.2)
        assert time.process_time() - before < 0.1
