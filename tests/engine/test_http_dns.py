"""Addresses: who asks for them, and who shares the answer."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from streaming.engine import http_dns
from streaming.engine.http_dns import Addresses
from tests.request_context import a_request


class Resolver:
    """Stands in for the system's: answers once it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.answer: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(http_dns, "ask_system", self.ask)

    async def ask(self, host: str) -> list[str]:
        self.asked.append(host)
        return await self.answer


@pytest.fixture
async def addresses() -> AsyncIterator[Addresses]:
    async with aclosing(Addresses()) as addresses:
        yield addresses


@pytest.fixture
async def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    return Resolver(monkeypatch)


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")])
async def test_nobody_is_asked_for_an_address(
    addresses: Addresses, resolver: Resolver, host: str, address: str
) -> None:
    """It is one already, in brackets or without."""
    assert await addresses.find(host) == [address]
    assert resolver.asked == []


async def test_a_name_has_addresses(addresses: Addresses) -> None:
    """As the system knows them."""
    assert {"127.0.0.1", "::1"} & set(await addresses.find("localhost"))


async def test_those_who_ask_together_share_the_answer(
    addresses: Addresses, resolver: Resolver
) -> None:
    """Whoever asks later has it asked again."""
    asking = [asyncio.create_task(addresses.find("a")) for _ in range(3)]
    await asyncio.sleep(0.01)
    resolver.answer.set_result(["192.0.2.1"])
    assert await asyncio.gather(*asking) == [["192.0.2.1"]] * 3
    await addresses.find("a")
    assert resolver.asked == ["a", "a"]


async def test_who_leaves_takes_nothing_along(addresses: Addresses, resolver: Resolver) -> None:
    """The others still get the answer."""
    leaving, staying = [asyncio.create_task(addresses.find("a")) for _ in range(2)]
    await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.sleep(0.01)
    resolver.answer.set_result(["192.0.2.1"])
    assert await staying == ["192.0.2.1"]
    assert leaving.cancelled()


async def test_a_failure_that_nobody_waits_for_says_nothing(
    addresses: Addresses, resolver: Resolver, caplog: pytest.LogCaptureFixture
) -> None:
    """All who asked have left by then."""
    leaving = asyncio.create_task(addresses.find("a"))
    await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.wait([leaving])
    resolver.answer.set_exception(socket.gaierror())
    await asyncio.sleep(0.01)
    assert not caplog.records


async def test_the_asking_does_not_hold_who_asked(addresses: Addresses, resolver: Resolver) -> None:
    """The system may take long, and who asked may have left."""
    request, context = a_request()
    loop = asyncio.get_running_loop()
    leaving = loop.create_task(addresses.find("a"), context=context)
    await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.wait([leaving])
    del leaving, context
    gc.collect()
    assert request() is None
    resolver.answer.cancel()


async def test_closing_ends_the_asking(addresses: Addresses, resolver: Resolver) -> None:
    """Whoever still waits is told that there is none."""
    asking = asyncio.create_task(addresses.find("a"))
    await asyncio.sleep(0.01)
    await addresses.aclose()
    with pytest.raises(OSError, match="no address"):
        await asking
    resolver.answer.cancel()
