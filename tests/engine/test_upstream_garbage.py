"""Upstreams that speak HTTP wrongly, without end or too slowly: each costs its bounds, no more.

Said byte by byte, as no server would; what well-known servers do wrong stands in `test_run`.
"""

import asyncio
from pathlib import Path

import pytest

from streaming.core.feed import Upstream
from streaming.engine.upstream_call import Outgoing
from tests.fan_out import call
from tests.scripted_upstream import CHUNKED, OK, Behaviour, say, serving

BODY = b"Content-Length: 2\r\n\r\n{}"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

QUICK = 0.5
"""Seconds that an attempt waits for a head, or for more of a body."""

MAX_GROWTH_MB = 32
"""More than all buffers on the way hold, and less than an upstream says in that time."""

NOT_HTTP = {
    "another version": b"HTTP/3.9 200 OK\r\n" + BODY,
    "no version": b"{}",
    "a status in letters": b"HTTP/1.1 abc OK\r\n" + BODY,
    "a status of two digits": b"HTTP/1.1 99 OK\r\n" + BODY,
    "a status of four digits": b"HTTP/1.1 1000 OK\r\n" + BODY,
    "a negative status": b"HTTP/1.1 -1 OK\r\n" + BODY,
    "a field without a colon": OK + b"garbage\r\n" + BODY,
    "a field without a name": OK + b": x\r\n" + BODY,
    "a NUL in a field": OK + b"X-A: a\0b\r\n" + BODY,
    "a CR in a field": OK + b"X-A: a\rSet-Cookie: b\r\n" + BODY,
    "ten thousand fields": OK + b"X-A: a\r\n" * 10_000 + BODY,
    "a negative length": OK + b"Content-Length: -1\r\n\r\n{}",
    "a signed length": OK + b"Content-Length: +2\r\n\r\n{}",
    "a length beyond 64 bits": OK + b"Content-Length: 18446744073709551617\r\n\r\n{}",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a list of lengths": OK + b"Content-Length: 2, 2\r\n\r\n{}",
    "a length and chunks": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
    "a chunk in Python's hexadecimal": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk beyond 64 bits": CHUNKED + b"f" * 18 + b"\r\n{}",
    "a chunk without a size": CHUNKED + b"\r\n{}\r\n0\r\n\r\n",
}

ENDLESS = {
    "interim answers": (b"", EARLY_HINTS * 50, "protocol"),
    "calls to continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, "protocol"),
    "blank lines": (b"", b"\r\n" * 1000, "protocol"),
    "a status line": (b"HTTP/1.1 200 ", b"x" * 65536, "protocol"),
    "a field": (OK + b"X-A: ", b"x" * 65536, "protocol"),
    "fields": (OK, b"X-A: " + b"x" * 1000 + b"\r\n", "protocol"),
    "an extension of a chunk": (CHUNKED + b"2;a=", b"x" * 65536, "protocol"),
    "zeros of a size": (CHUNKED, b"0" * 65536, "protocol"),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-A: x\r\n" * 1000, "protocol"),
    "chunks of one byte": (CHUNKED, b"1\r\n \r\n" * 5000, "too_large"),
    "a body": (OK + b"\r\n", b" " * 65536, "too_large"),
}

DRIPPING = {
    "interim answers": (b"", EARLY_HINTS),
    "blank lines": (b"", b"\r\n"),
    "fields": (OK, b"X-A: x\r\n"),
    "a field": (OK + b"X-A: ", b"x"),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-A: x\r\n"),
}


def for_ever(beginning: bytes, piece: bytes, *, delay: float) -> Behaviour:
    """Take a request; begin an answer, and go on with it until the client has left."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(beginning)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(delay)

    return behave


def quick(url: str) -> Upstream:
    """An upstream that is not waited for long, and asked once."""
    return Upstream(url=url, first_byte_timeout=QUICK, idle_timeout=QUICK, timeout=3.0, retries=0)


def resident_mb() -> int:
    """The memory of this process, in which the upstream speaks as well."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20


@pytest.mark.parametrize("answer", NOT_HTTP.values(), ids=NOT_HTTP.keys())
async def test_what_is_not_http_is_protocol(outgoing: Outgoing, answer: bytes) -> None:
    """Nothing is repaired: what one reader repairs, another reads differently."""
    async with serving(say(answer)) as url:
        called = await call(quick(url), outgoing)
    assert called.code == "protocol"


@pytest.mark.parametrize(("beginning", "piece", "code"), ENDLESS.values(), ids=ENDLESS.keys())
async def test_what_never_ends_costs_its_bounds(
    outgoing: Outgoing, beginning: bytes, piece: bytes, code: str
) -> None:
    """Neither memory nor time grows with what an upstream goes on saying."""
    before = resident_mb()
    async with serving(for_ever(beginning, piece, delay=0.0)) as url:
        called = await call(quick(url), outgoing)
    assert called.code == code
    assert resident_mb() - before < MAX_GROWTH_MB


@pytest.mark.parametrize(("beginning", "piece"), DRIPPING.values(), ids=DRIPPING.keys())
async def test_what_drips_is_bounded_as_a_whole(
    outgoing: Outgoing, beginning: bytes, piece: bytes
) -> None:
    """The time to the head is that to its end, however often a little of it comes."""
    async with serving(for_ever(beginning, piece, delay=QUICK / 10)) as url:
        called = await call(quick(url), outgoing)
    assert called.code == "timeout"
    assert called.facts["elapsed"] < 2.5


async def test_an_answer_that_nobody_asked_for_is_read_by_nobody(outgoing: Outgoing) -> None:
    """What follows an answer on its connection is not the answer to the next call."""
    evil = OK + b"Content-Length: 6\r\n\r\n" + b'"evil"'

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK + BODY + evil)

    async with serving(behave) as url:
        for _ in range(3):
            called = await call(quick(url), outgoing)
            assert called.result is None or called.result["body"] == {}
