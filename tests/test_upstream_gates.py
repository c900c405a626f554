"""The test upstreams that answer when a test says so."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.upstream_asking import asked, got_whole, read_until_silence
from tests.upstreams import Upstreams


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    async with Upstreams() as serving:
        yield serving


async def test_held_until_released(upstreams):
    """Nothing is answered before the gate is opened, and then the key."""
    waiting = asyncio.create_task(got_whole(upstreams, "/held/a-gate"))
    await upstreams.wait_calls("/held/a-gate")
    assert not waiting.done()
    await got_whole(upstreams, "/release/a-gate")
    status, _, body = await waiting
    assert (status, json.loads(body)["key"]) == (200, "a-gate")


async def test_released_before_it_is_held(upstreams):
    """A gate that is open already lets pass."""
    await got_whole(upstreams, "/release/an-early-gate")
    assert (await got_whole(upstreams, "/held/an-early-gate"))[0] == 200


async def test_a_held_stream_begins_at_once(upstreams):
    """The first line does not wait for the gate, and the second does."""
    async with asked(upstreams, "/held-stream/a-stream") as (reader, _):
        begun = await read_until_silence(reader)
        assert b"first" in begun
        assert b"second" not in begun
        await got_whole(upstreams, "/release/a-stream")
        assert b"second" in await read_until_silence(reader)
