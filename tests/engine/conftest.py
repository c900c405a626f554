"""What most tests of the engine start with: upstreams, and what carries the calls to them."""

from collections.abc import AsyncIterator

import httpx
import pytest

from streaming.engine.runs import Runs
from streaming.engine.transport import Transport
from streaming.engine.transport_aiohttp import AiohttpTransport
from streaming.engine.transport_httpx import HttpxTransport
from streaming.engine.upstream_call import Outgoing
from tests.fan_out import outgoing as carrying
from tests.fan_out import running
from tests.upstreams import Upstreams


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    async with Upstreams() as upstreams:
        yield upstreams


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    async with carrying() as outgoing:
        yield outgoing


@pytest.fixture
async def runs() -> AsyncIterator[Runs]:
    async with running() as runs:
        yield runs


@pytest.fixture(params=["aiohttp", "httpx"])
async def either_transport(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    """The default transport, then a user's `httpx.AsyncClient`."""
    if request.param == "aiohttp":
        transport = AiohttpTransport()
        yield transport
        await transport.aclose()
        return
    async with httpx.AsyncClient() as client:
        yield HttpxTransport(client)
