"""The test upstreams that compress: what is right can be unpacked, what is wrong cannot."""

import gzip
import json
import zlib
from collections.abc import AsyncIterator

import pytest

from tests.upstream_asking import asked, got, got_whole
from tests.upstreams import Upstreams


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    async with Upstreams() as serving:
        yield serving


async def test_gzip_and_deflate_are_right(upstreams):
    """Each unpacks to the value, deflate also where it is bare."""
    _, _, body = await got_whole(upstreams, "/gzip?value=a")
    assert json.loads(gzip.decompress(body)) == {"value": "a"}
    _, _, body = await got_whole(upstreams, "/deflate?value=b")
    assert json.loads(zlib.decompress(body)) == {"value": "b"}
    _, _, body = await got_whole(upstreams, "/deflate?bare=1")
    assert json.loads(zlib.decompress(body, wbits=-15)) == {"value": "squeezed"}


@pytest.mark.parametrize(
    ("target", "error"),
    [("/bad-gzip", zlib.error), ("/gzip?cut=9", EOFError), ("/unknown-coding", gzip.BadGzipFile)],
)
async def test_wrong_codings_cannot_be_unpacked(upstreams, target, error):
    """What is unpacked as gzip fails, each in its own way."""
    _, _, body = await got_whole(upstreams, target)
    with pytest.raises(error):
        gzip.decompress(body)


async def test_codings_are_declared(upstreams):
    """The head names the coding."""
    for target, coding in [("/gzip", "gzip"), ("/deflate", "deflate"), ("/unknown-coding", "br")]:
        head, _ = await got(upstreams, target)
        assert f"Content-Encoding: {coding}" in head


async def test_gzip_lines_can_be_read_as_they_arrive(upstreams):
    """The first line can be unpacked while the second is still to come."""
    unpack = zlib.decompressobj(wbits=31)
    async with asked(upstreams, "/gzip-lines?delay=9") as (reader, _):
        await reader.readuntil(b"\r\n\r\n")
        size = int(await reader.readline(), 16)
        line = unpack.decompress(await reader.readexactly(size))
    assert json.loads(line)["n"] == 1


@pytest.mark.parametrize("count", [0, 5, 1 << 20, (3 << 20) + 5])
async def test_the_bomb_is_right_gzip(upstreams, count):
    """It unpacks to the zeros asked for, its checksum included, from a fraction of the bytes."""
    _, _, body = await got_whole(upstreams, f"/bomb?bytes={count}")
    assert gzip.decompress(body) == bytes(count)
    assert len(body) < 100 + count / 500
