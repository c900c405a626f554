"""Test upstreams whose body is compressed: rightly, wrongly, and far beyond its size.

Content codings as RFC 9110 section 8.4.1 names them: `deflate` is the zlib format, though some
servers send it bare.
"""

import asyncio
import gzip
import json
import struct
import time
import zlib

from tests.upstream_exchange import Exchange, Paths

codings = Paths()

_GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_BLOCK = bytes(1 << 20)


async def _answer_coded(exchange: Exchange, coded: bytes, *, coding: str) -> None:
    await exchange.answer(coded, headers=[("Content-Encoding", coding)])


def _value(exchange: Exchange) -> bytes:
    return json.dumps({"value": exchange.text("value", "squeezed")}).encode()


@codings.at("/gzip")
async def gzipped(exchange: Exchange) -> None:
    """`?value=` in a JSON object; `?cut=` bytes are missing at its end; `?times=` members."""
    coded = gzip.compress(_value(exchange)) * exchange.integer("times", 1)
    whole = len(coded) - exchange.integer("cut")
    await _answer_coded(exchange, coded[:whole], coding="gzip")


@codings.at("/deflate")
async def deflated(exchange: Exchange) -> None:
    """`?value=` in a JSON object; `?bare=1` without the zlib format around it."""
    wbits = -zlib.MAX_WBITS if exchange.integer("bare") else zlib.MAX_WBITS
    await _answer_coded(exchange, zlib.compress(_value(exchange), wbits=wbits), coding="deflate")


@codings.at("/bad-gzip")
async def bad_gzip(exchange: Exchange) -> None:
    """The head of gzip, then what is none."""
    await _answer_coded(exchange, _GZIP_HEAD + b"\xff" * 100, coding="gzip")


@codings.at("/unknown-coding")
async def unknown_coding(exchange: Exchange) -> None:
    """`?coding=br`, which nobody asked for, and junk."""
    await _answer_coded(exchange, b"\x8b\xff junk", coding=exchange.text("coding", "br"))


@codings.at("/gzip-lines")
async def gzip_lines(exchange: Exchange) -> None:
    """`?lines=3` of NDJSON, `?delay=` apart, flushed so that each can be read as it arrives."""
    squeeze = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    await exchange.begin("application/x-ndjson", ("Content-Encoding", "gzip"))
    for n in range(1, exchange.integer("lines", 3) + 1):
        line = json.dumps({"n": n, "monotonic": time.monotonic()}).encode() + b"\n"
        await exchange.chunk(squeeze.compress(line) + squeeze.flush(zlib.Z_SYNC_FLUSH))
        await asyncio.sleep(exchange.seconds("delay"))
    await exchange.chunk(squeeze.flush())
    await exchange.end()


@codings.at("/bomb")
async def bomb(exchange: Exchange) -> None:
    """`?bytes=1073741824` zeros as gzip, about a thousandth of that on the way."""
    blocks, rest = divmod(exchange.integer("bytes", 1 << 30), len(_BLOCK))
    await exchange.begin("application/octet-stream", ("Content-Encoding", "gzip"))
    await exchange.chunk(_GZIP_HEAD)
    # A block that was flushed in full needs nothing before it, so it may stand any number of times.
    squeeze = zlib.compressobj(level=9, wbits=-zlib.MAX_WBITS)
    block = squeeze.compress(_BLOCK) + squeeze.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(blocks):
        checksum = zlib.crc32(_BLOCK, checksum)
        await exchange.chunk(block)
        await asyncio.sleep(0)
    checksum = zlib.crc32(bytes(rest), checksum)
    last = zlib.compress(bytes(rest), wbits=-zlib.MAX_WBITS)
    size = (blocks * len(_BLOCK) + rest) % (1 << 32)
    await exchange.chunk(last + struct.pack("<II", checksum, size))
    await exchange.end()
