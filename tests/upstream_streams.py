"""Test upstreams whose body is a stream: events, lines of JSON, lines and pieces of text.

`?delay=` is the time between two pieces, in seconds; the first comes at once. Each piece is sent
as a chunk of its own.
"""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator

from tests.upstream_exchange import Exchange, Paths

streams = Paths()

_SSE = "text/event-stream"
_NDJSON = "application/x-ndjson"
_TEXT = "text/plain; charset=utf-8"


async def _paced(exchange: Exchange, *, count: int) -> AsyncIterator[int]:
    """The numbers from 1 to `count`, or for ever where it is 0, with the delay between them."""
    numbers: Iterator[int] = itertools.count(1) if not count else iter(range(1, count + 1))
    for n in numbers:
        if n > 1:
            await asyncio.sleep(exchange.seconds("delay"))
        yield n


def _stamped(n: int, *, pad: int = 0) -> bytes:
    facts = {"n": n, "monotonic": time.monotonic()}
    return json.dumps({**facts, "pad": "x" * pad} if pad else facts).encode()


def _event(n: int) -> bytes:
    return b"id: %d\nevent: tick\ndata: %b\n\n" % (n, _stamped(n))


@streams.at("/sse")
async def sse(exchange: Exchange) -> None:
    """`?events=3`, 0 being endless; `?done=1` adds `data: [DONE]`."""
    await exchange.begin(_SSE)
    async for n in _paced(exchange, count=exchange.integer("events", 3)):
        await exchange.chunk(_event(n))
    if exchange.integer("done"):
        await exchange.chunk(b"data: [DONE]\n\n")
    await exchange.end()


@streams.at("/sse-cut")
async def sse_cut(exchange: Exchange) -> None:
    """`?events=2`, then the connection closes in the middle of the next."""
    await exchange.begin(_SSE)
    count = exchange.integer("events", 2)
    async for n in _paced(exchange, count=count):
        await exchange.chunk(_event(n))
    await exchange.chunk(_event(count + 1)[:-10])


@streams.at("/ndjson")
async def ndjson(exchange: Exchange) -> None:
    """`?lines=3`, 0 being endless; `?pad=0` makes each longer by so many bytes."""
    await exchange.begin(_NDJSON)
    async for n in _paced(exchange, count=exchange.integer("lines", 3)):
        await exchange.chunk(_stamped(n, pad=exchange.integer("pad")) + b"\n")
    await exchange.end()


@streams.at("/ndjson-bad")
async def ndjson_bad(exchange: Exchange) -> None:
    """Three lines, the second of which is no JSON."""
    await exchange.begin(_NDJSON)
    await exchange.chunk(b'{"n": 1}\n{"n": \n{"n": 3}\n')
    await exchange.end()


@streams.at("/lines")
async def lines(exchange: Exchange) -> None:
    """`?lines=3` of text, 0 being endless."""
    await exchange.begin(_TEXT)
    async for n in _paced(exchange, count=exchange.integer("lines", 3)):
        await exchange.chunk(f"line {n}\n".encode())
    await exchange.end()


@streams.at("/stream")
async def stream(exchange: Exchange) -> None:
    """`?pieces=3` of text, each but the last ending in the middle of a character: 1€2€3€."""
    await exchange.begin(_TEXT)
    kept = b""
    async for n in _paced(exchange, count=exchange.integer("pieces", 3)):
        text = kept + f"{n}€".encode()
        kept = text[-2:]
        await exchange.chunk(text[:-2])
    await exchange.chunk(kept)
    await exchange.end()


@streams.at("/long-line")
async def long_line(exchange: Exchange) -> None:
    """One line of `?bytes=1048576`, as `?read=lines`, `ndjson` or `sse`."""
    line = b"x" * exchange.integer("bytes", 1 << 20)
    content_type, data = {
        "lines": (_TEXT, line + b"\n"),
        "ndjson": (_NDJSON, b'"%b"\n' % line),
        "sse": (_SSE, b"data: %b\n\n" % line),
    }[exchange.text("read", "lines")]
    await exchange.begin(content_type)
    await exchange.chunk(data)
    await exchange.end()
