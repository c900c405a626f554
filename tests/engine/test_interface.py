"""What the interface answers where the log is away; all else is tested through the apps."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from streaming.core import codec
from streaming.core.message import Reply, Request
from streaming.core.settings import LogSettings, Settings
from streaming.engine import interface as interface_module
from streaming.engine.engine import Engine
from streaming.engine.interface import Interface
from tests.fan_out import PATIENCE, start
from tests.redis_processes import feed_of, hurry
from tests.redis_server import RedisServer
from tests.upstreams import Upstreams


@pytest.fixture(autouse=True)
def is_hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch, lease=30)


@pytest.fixture
async def interface(own_redis: RedisServer, upstreams: Upstreams) -> AsyncIterator[Interface]:
    feed = feed_of(upstreams, "/never")
    settings = Settings(log=LogSettings(url=own_redis.url), feeds={"it": feed})
    async with aclosing(Engine(settings)) as engine:
        yield Interface(engine)


async def ask(interface: Interface, operation: str, **path: str) -> Reply:
    post = {"headers": {"content-type": "application/json"}, "body": b"{}"}
    more: dict[str, Any] = post if operation == "create_run" else {}
    method = {"create_run": "POST", "delete_run": "DELETE"}.get(operation, "GET")
    async with asyncio.timeout(PATIENCE):
        return await interface.answer(operation, Request(method=method, path=path, **more))


async def until_ready(interface: Interface, *, status: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await ask(interface, "read_readiness")).status != status:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


ASKED = [
    ("read_feed", {"feed": "it"}),
    ("create_run", {"feed": "it"}),
    ("read_run", {"run": "0" * 32}),
    ("delete_run", {"run": "0" * 32}),
    ("read_readiness", {}),
]


async def test_what_needs_the_log_is_refused_while_it_is_away(
    interface: Interface, own_redis: RedisServer
) -> None:
    """With a time to come back in; the process is alive, and ready again once Redis is there."""
    await until_ready(interface, status=200)
    own_redis.kill()
    await until_ready(interface, status=503)
    for operation, path in ASKED:
        reply = await ask(interface, operation, **path)
        assert reply.status == 503
        assert codec.decode(reply.body)["type"] == "urn:fanstream:log-unreachable"
        assert dict(reply.headers)["Retry-After"]
    assert (await ask(interface, "read_health")).status == 200
    assert (await ask(interface, "list_feeds")).status == 200
    own_redis.start()
    await until_ready(interface, status=200)
    assert (await ask(interface, "create_run", feed="it")).status == 201


async def test_an_end_that_does_not_come_is_not_promised(
    interface: Interface, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is ended once that is in the log; whoever asks for it may ask again."""
    monkeypatch.setattr(interface_module, "STOP_TIMEOUT", 0.1)
    runs = interface.engine.runs
    await until_ready(interface, status=200)
    run = await start(runs, interface.engine.settings.feeds["it"])
    own_redis.kill()
    assert (await ask(interface, "delete_run", run=run.id)).status == 503
    own_redis.start()
    async with asyncio.timeout(PATIENCE):
        await run.wait_ended()
    assert (await ask(interface, "delete_run", run=run.id)).status == 204
