"""Test upstreams that answer when a test says so, which proves an order without a clock.

Each gate has a key; keys are the test's own and used once.
"""

import asyncio
import time
from collections import defaultdict

from tests.upstream_exchange import Exchange, Paths

gates = Paths()

_GATES: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


@gates.at("/held")
async def held(exchange: Exchange) -> None:
    """`/held/{key}`: JSON once `/release/{key}` was asked for, be it before."""
    await _GATES[exchange.rest].wait()
    await exchange.answer_json({"key": exchange.rest, "monotonic": time.monotonic()})


@gates.at("/held-stream")
async def held_stream(exchange: Exchange) -> None:
    """`/held-stream/{key}`: a line at once, and the next once `/release/{key}` was asked for."""
    await exchange.begin("text/plain; charset=utf-8")
    await exchange.chunk(b"first\n")
    await _GATES[exchange.rest].wait()
    await exchange.chunk(b"second\n")
    await exchange.end()


@gates.at("/release")
async def release(exchange: Exchange) -> None:
    """`/release/{key}`: open a gate."""
    _GATES[exchange.rest].set()
    await exchange.answer_json({})
