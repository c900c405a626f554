"""The making of connections: given up at each stage, by IPv6, past an address that is silent."""

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import sys
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

import pytest

from streaming.core.call import Call, ConnectionOptions
from streaming.core.errors_upstream import ConnectFailed, Disconnected, TimedOut
from streaming.engine import http_dns
from streaming.engine.transport_httptools import HttptoolsTransport
from tests.fan_out import descriptors, descriptors_before, until
from tests.recording_proxy import ANSWER, RecordingProxy
from tests.request_context import a_request
from tests.scripted_upstream import OK, a_call, fetch, opened, read_all, say, serving
from tests.upstreams import closed_port, full_backlog


@pytest.fixture
async def transport() -> AsyncIterator[HttptoolsTransport]:
    async with aclosing(HttptoolsTransport()) as transport:
        yield transport


@pytest.fixture(autouse=True)
async def first_stream() -> None:
    """A loop of uvloop's opens a file with its first stream, and keeps it."""
    async with serving(say()):
        pass


class Silent:
    """Takes connections and says nothing; counts how many are open."""

    open = 0

    async def __call__(self, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while await reader.read(65536):
                pass
        finally:
            self.open -= 1


# A place at which a call gets no further, and how many connections the other side has by then.
Stage = Callable[[pytest.MonkeyPatch], AbstractAsyncContextManager[tuple[Call, Silent | None]]]


@asynccontextmanager
async def dns(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Call, Silent | None]]:
    async def ask_nobody(host: str) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(http_dns, "ask_system", ask_nobody)
    yield a_call("http://a.invalid/"), None


@asynccontextmanager
async def tcp(_: pytest.MonkeyPatch) -> AsyncIterator[tuple[Call, Silent | None]]:
    with full_backlog() as port:
        yield a_call(f"http://127.0.0.1:{port}/"), None


@asynccontextmanager
async def tls_of_an_upstream(_: pytest.MonkeyPatch) -> AsyncIterator[tuple[Call, Silent | None]]:
    silent = Silent()
    async with serving(silent) as url:
        yield a_call(url.replace("http:", "https:")), silent


@asynccontextmanager
async def tls_of_a_proxy(_: pytest.MonkeyPatch) -> AsyncIterator[tuple[Call, Silent | None]]:
    silent = Silent()
    async with serving(silent) as url:
        options = ConnectionOptions(proxy=url.replace("http:", "https:"))
        yield a_call("http://a.invalid/", options=options), silent


@asynccontextmanager
async def tunnel(_: pytest.MonkeyPatch) -> AsyncIterator[tuple[Call, Silent | None]]:
    silent = Silent()
    async with serving(silent) as url:
        yield a_call("https://a.invalid/", options=ConnectionOptions(proxy=url)), silent


@asynccontextmanager
async def tls_in_a_tunnel(_: pytest.MonkeyPatch) -> AsyncIterator[tuple[Call, Silent | None]]:
    silent = Silent()

    async def agree(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"\r\n")
        await silent(reader, writer)

    async with serving(agree) as url:
        yield a_call("https://a.invalid/", options=ConnectionOptions(proxy=url)), silent


STAGES = pytest.mark.parametrize(
    "stage", [dns, tcp, tls_of_an_upstream, tls_of_a_proxy, tunnel, tls_in_a_tunnel]
)


@STAGES
async def test_cancelled_while_connecting(
    transport: HttptoolsTransport, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing stays open, and the other side sees it at once."""
    async with stage(monkeypatch) as (call, silent):
        before = descriptors_before()
        opening = asyncio.create_task(transport.open(call))
        await asyncio.sleep(0.1)
        assert silent is None or silent.open == 1
        opening.cancel()
        await asyncio.wait([opening])
        assert opening.cancelled()
        await until(lambda: silent is None or silent.open == 0)
        await until(lambda: descriptors() <= before)
        assert transport._pool is not None
        assert not transport._pool._open


@STAGES
async def test_the_time_to_connect_covers_it(
    transport: HttptoolsTransport, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever takes so long; and what was begun is closed."""
    async with stage(monkeypatch) as (call, silent):
        quick = a_call(call.url, options=call.options, connect_timeout=0.1)
        with pytest.raises(TimedOut) as caught:
            await transport.open(quick)
        assert (caught.value.waiting_for, caught.value.seconds) == ("connection", 0.1)
        await until(lambda: silent is None or silent.open == 0)


async def test_cancelled_again_and_again(transport: HttptoolsTransport) -> None:
    """At whatever turn of the loop: each connection that is made is closed or kept, and known."""
    before = descriptors_before()
    async with serving(say(ANSWER)) as url:
        for turns in range(40):
            opening = asyncio.create_task(transport.open(a_call(url)))
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait([opening])
            if not opening.cancelled():
                await (await opening).aclose()
        await asyncio.wait_for(transport.aclose(), 0.5)
    await until(lambda: descriptors() <= before)


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not (has_ipv6() or os.environ.get("CI")), reason="this machine has no IPv6")
@pytest.mark.parametrize("has_tls", [False, True])
async def test_an_address_of_version_6(
    transport: HttptoolsTransport, tls: ssl.SSLContext, has_tls: bool
) -> None:
    """It stands in brackets in URL and Host, and nowhere else."""
    proxy = RecordingProxy()
    async with serving(proxy, tls=tls if has_tls else None, address="::1") as url:
        _, body = await fetch(transport, a_call(url, options=ConnectionOptions(verify=False)))
    assert body == b"ok"
    assert f"\r\nHost: {url.rpartition('/')[2]}\r\n" in proxy.heads[0]


@pytest.mark.skipif(sys.platform != "linux", reason="there is no second loopback address")
async def test_an_address_that_is_silent_is_passed_by(
    transport: HttptoolsTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next is tried beside it, long before the time to connect runs out."""

    async def ask(host: str) -> list[str]:
        return ["127.0.0.1", "127.0.0.2"]

    monkeypatch.setattr(http_dns, "ask_system", ask)
    with full_backlog() as port:
        async with serving(say(ANSWER), address="127.0.0.2", port=port):
            _, body = await fetch(transport, a_call(f"http://a.invalid:{port}/"))
    assert body == b"ok"


async def test_a_body_without_length_ends_with_tls(
    transport: HttptoolsTransport, tls: ssl.SSLContext
) -> None:
    """As it does without."""
    async with serving(say(OK + b"\r\nabc", b"de"), tls=tls) as url:
        _, body = await fetch(transport, a_call(url, options=ConnectionOptions(verify=False)))
    assert body == b"abcde"


async def test_a_long_request_over_tls(transport: HttptoolsTransport, tls: ssl.SSLContext) -> None:
    """It goes out whole, and its connection is used again."""
    body = bytes(5 << 20)
    connections = 0

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            await reader.readexactly(len(body))
            writer.write(ANSWER)

    async with serving(take, tls=tls) as url:
        call = a_call(url, method="POST", body=body, options=ConnectionOptions(verify=False))
        for _ in range(2):
            assert (await fetch(transport, call))[1] == b"ok"
    assert connections == 1


@STAGES
async def test_closing_ends_what_is_being_connected(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the other side is waited for."""
    async with stage(monkeypatch) as (call, _):
        transport = HttptoolsTransport()
        opening = asyncio.create_task(transport.open(call))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(5):
            await transport.aclose()
            with pytest.raises((ConnectFailed, Disconnected)):
                await opening
        assert transport._pool is not None
        assert not transport._pool._open


async def test_no_running_out_waits_for_the_collector(transport: HttptoolsTransport) -> None:
    """Also where it ends a task, which its limit refers to."""
    gc.collect()
    gc.disable()
    try:
        with full_backlog() as port:
            call = a_call(f"http://127.0.0.1:{port}/", connect_timeout=0.05)
            task = asyncio.create_task(transport.open(call))
            await asyncio.wait([task])
        error = task.exception()
        assert isinstance(error, TimedOut)
        seen = weakref.ref(error)
        del task, error
        assert seen() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("has_tls", [False, True])
async def test_a_connection_does_not_hold_who_made_it(
    transport: HttptoolsTransport, tls: ssl.SSLContext, has_tls: bool
) -> None:
    """Nor who stopped it and had it read on: it is kept for others."""
    body = bytes(1 << 20)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def fetch_slowly(call: Call) -> None:
        async with opened(transport, call) as response:
            await asyncio.sleep(0.1)
            assert await read_all(response) == body

    async with serving(answer, tls=tls if has_tls else None) as url:
        call = a_call(url, options=ConnectionOptions(verify=False))
        request, context = a_request()
        loop = asyncio.get_running_loop()
        await loop.create_task(fetch_slowly(call), context=context)
        del context
        await asyncio.sleep(0.05)
        gc.collect()
        assert transport._pool is not None
        assert len(transport._pool._idle_since) == 1
        assert request() is None


@pytest.mark.parametrize("host", ["127.0.0.1", "a.invalid"])
async def test_no_failure_waits_for_the_collector(
    transport: HttptoolsTransport, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """An upstream that is down fails often: none of its errors may hold itself."""

    async def ask(host: str) -> list[str]:
        return ["127.0.0.1", "127.0.0.1"]

    monkeypatch.setattr(http_dns, "ask_system", ask)
    call = a_call(f"http://{host}:{closed_port()}/")

    def failures() -> int:
        return sum(isinstance(each, ConnectFailed) for each in gc.get_objects())

    async def end_with_it() -> None:
        task = asyncio.create_task(transport.open(call))
        await asyncio.wait([task])
        assert isinstance(task.exception(), ConnectFailed)

    gc.collect()
    gc.disable()
    try:
        before = failures()  # of other tests, which something may still hold
        with contextlib.suppress(ConnectFailed):
            await transport.open(call)
        assert failures() == before
        await end_with_it()
        assert failures() == before
    finally:
        gc.enable()
