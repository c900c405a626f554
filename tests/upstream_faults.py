"""Test upstreams that break off, stall, drip or speak no HTTP at all.

A behaviour that returns before its answer is whole hangs up in order (FIN); `reset` breaks off
(RST); those that never end wait for the peer, whose leaving the server counts.
"""

import asyncio
import itertools

from tests.upstream_exchange import Exchange, Paths

faults = Paths()

_DRIP = 0.05
_PROMISED = ("Content-Length", "1000")
_JSON = ("Content-Type", "application/json")
_HEADER_BYTES = 1 << 20
_PIECE = b"x" * 65536


# --------------------------------------------------------------------- stalling


@faults.at("/never")
async def never(exchange: Exchange) -> None:
    """Take the request and answer nothing."""
    await exchange.wait_for_peer()


@faults.at("/head-then-stall")
async def head_then_stall(exchange: Exchange) -> None:
    """A whole head, then nothing."""
    await exchange.head(_JSON, _PROMISED)
    await exchange.wait_for_peer()


@faults.at("/stall-in-body")
async def stall_in_body(exchange: Exchange) -> None:
    """A head and the beginning of a body, then nothing."""
    await exchange.head(_JSON, _PROMISED)
    await exchange.send(b'{"a": ')
    await exchange.wait_for_peer()


@faults.at("/dripping-head")
async def dripping_head(exchange: Exchange) -> None:
    """A head that never ends, a byte each `?delay=0.05` seconds."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    while True:
        await asyncio.sleep(exchange.seconds("delay", _DRIP))
        await exchange.send(b"x")


@faults.at("/dripping-body")
async def dripping_body(exchange: Exchange) -> None:
    """A body that never ends, a byte each `?delay=0.05` seconds."""
    await exchange.begin("text/plain")
    while True:
        await exchange.chunk(b"x")
        await asyncio.sleep(exchange.seconds("delay", _DRIP))


# ------------------------------------------------------------------ breaking off


@faults.at("/reset")
async def reset(exchange: Exchange) -> None:
    """A reset before any answer."""
    await exchange.reset()


@faults.at("/reset-in-body")
async def reset_in_body(exchange: Exchange) -> None:
    """A reset in the middle of the body."""
    await exchange.head(_JSON, _PROMISED)
    await exchange.send(b'{"a": ')
    await exchange.reset()


@faults.at("/hangup")
async def hang_up(exchange: Exchange) -> None:
    """Close without a byte."""


@faults.at("/hangup-in-body")
async def hang_up_in_body(exchange: Exchange) -> None:
    """Close after a part of the promised length."""
    await exchange.head(_JSON, _PROMISED)
    await exchange.send(b'{"a": ')


@faults.at("/chunked-cut")
async def chunked_cut(exchange: Exchange) -> None:
    """Close after a chunk that is not the last."""
    await exchange.begin("application/json")
    await exchange.chunk(b'{"a": 1}')


# -------------------------------------------------------------------- not HTTP


@faults.at("/not-http")
async def not_http(exchange: Exchange) -> None:
    """Answer as another protocol, and wait."""
    await exchange.send(b"SSH-2.0-OpenSSH_9.6\r\n")
    await exchange.wait_for_peer()


@faults.at("/huge-header")
async def huge_header(exchange: Exchange) -> None:
    """A header line of 1 MiB, then a right answer."""
    await exchange.answer(b"{}", headers=[("X-Huge", "x" * _HEADER_BYTES)])


# ------------------------------------------------------------------------ large


@faults.at("/large")
async def large(exchange: Exchange) -> None:
    """`?bytes=10485760` of text in chunks."""
    left = exchange.integer("bytes", 10 << 20)
    await exchange.begin("text/plain")
    while left > 0:
        await exchange.chunk(_PIECE[:left])
        left -= len(_PIECE)
    await exchange.end()


@faults.at("/endless")
async def endless(exchange: Exchange) -> None:
    """Chunks of `?bytes=65536`, `?delay=` apart, until the peer leaves."""
    piece = b"x" * exchange.integer("bytes", len(_PIECE))
    await exchange.begin("text/plain")
    for _ in itertools.count():
        await exchange.chunk(piece)
        await asyncio.sleep(exchange.seconds("delay"))
