"""The test upstreams that stream: their pieces, the time between them, their ends."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.upstream_asking import asked, got, got_whole, read_until_silence
from tests.upstreams import Upstreams


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    async with Upstreams() as serving:
        yield serving


@pytest.mark.parametrize(
    ("target", "content_type", "body"),
    [
        ("/ndjson-bad", "application/x-ndjson", b'{"n": 1}\n{"n": \n{"n": 3}\n'),
        ("/lines", "text/plain; charset=utf-8", b"line 1\nline 2\nline 3\n"),
        ("/long-line?bytes=9", "text/plain; charset=utf-8", b"x" * 9 + b"\n"),
        ("/long-line?bytes=9&read=ndjson", "application/x-ndjson", b'"xxxxxxxxx"\n'),
        ("/long-line?bytes=9&read=sse", "text/event-stream", b"data: xxxxxxxxx\n\n"),
    ],
)
async def test_streams_of_known_bytes(upstreams, target, content_type, body):
    """Content type and body are those that the behaviour's docstring names."""
    assert await got_whole(upstreams, target) == (200, content_type, body)


async def test_sse_has_events_and_may_say_done(upstreams):
    """Each has id, event and data; the last piece is [DONE] where asked for."""
    _, _, body = await got_whole(upstreams, "/sse?events=2&done=1")
    first, second, done, end = body.decode().split("\n\n")
    assert first.startswith('id: 1\nevent: tick\ndata: {"n": 1, "monotonic": ')
    assert second.startswith("id: 2\n")
    assert (done, end) == ("data: [DONE]", "")


async def test_ndjson_has_lines(upstreams):
    """As many lines of JSON as asked for."""
    _, _, body = await got_whole(upstreams, "/ndjson?lines=4")
    assert [json.loads(line)["n"] for line in body.splitlines()] == [1, 2, 3, 4]


@pytest.mark.parametrize("target", ["/sse?events=0", "/ndjson?lines=0", "/lines?lines=0"])
async def test_streams_may_be_endless(upstreams, target):
    """0 pieces are pieces without end."""
    async with asked(upstreams, f"{target}&delay=0.001") as (reader, _):
        for _ in range(100):
            await reader.readline()


@pytest.mark.parametrize("target", ["/sse", "/ndjson", "/lines", "/stream"])
async def test_the_first_piece_does_not_wait(upstreams, target):
    """The delay stands between pieces: the first comes at once, the second after it."""
    async with asked(upstreams, f"{target}?delay=9") as (reader, _):
        data = await read_until_silence(reader)
    assert data.partition(b"\r\n\r\n")[2].count(b"1") >= 1
    assert not data.endswith(b"0\r\n\r\n")


async def test_pieces_of_text_end_within_a_character(upstreams):
    """Each chunk but the last is wrong UTF-8 alone, and all together are right."""
    _, body = await got(upstreams, "/stream?pieces=2")
    chunks = [bytes.fromhex(text) for text in ("31e2", "82ac32e2", "82ac")]
    assert body == b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in [*chunks, b""])
    assert b"".join(chunks).decode() == "1€2€"


async def test_sse_is_cut_within_an_event(upstreams):
    """Two events are whole, the third is not."""
    _, data = await got(upstreams, "/sse-cut")
    assert (data.count(b"data:"), data.count(b"\n\n")) == (3, 2)
