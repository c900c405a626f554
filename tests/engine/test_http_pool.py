"""Idle connections: which is used, when they are closed, and that none outlives its transport."""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from streaming.core.call import ConnectionOptions
from streaming.core.errors_upstream import Disconnected
from streaming.engine import http_pool
from streaming.engine.transport_httptools import HttptoolsTransport
from tests.fan_out import until
from tests.scripted_upstream import OK, a_call, fetch, serving
from tests.upstreams import Upstreams

ANSWER = OK + b"Content-Length: 2\r\n\r\nok"
STALE = OK + b"Content-Length: 5\r\n\r\nSTALE"


@pytest.fixture
async def transport() -> AsyncIterator[HttptoolsTransport]:
    async with aclosing(HttptoolsTransport()) as transport:
        yield transport


async def fetch_together(transport: HttptoolsTransport, url: str, count: int) -> None:
    call = a_call(url + "/json?delay=0.05")
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(fetch(transport, call))


async def test_idle_connections_are_closed_after_a_while(
    transport: HttptoolsTransport, upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, by one timer, which then is none."""
    monkeypatch.setattr(http_pool, "KEEP_ALIVE", 0.2)
    await fetch_together(transport, upstreams.base_url, 3)
    assert upstreams.open_connections == 3
    await until(lambda: upstreams.open_connections == 0)
    assert transport._pool is not None
    assert transport._pool._timer is None
    assert not transport._pool._idle


async def test_a_connection_in_use_keeps_itself_and_no_other(
    transport: HttptoolsTransport, upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last to be freed is used first, so that those which are not needed go."""
    monkeypatch.setattr(http_pool, "KEEP_ALIVE", 0.3)
    await fetch_together(transport, upstreams.base_url, 3)
    for _ in range(6):
        await asyncio.sleep(0.1)
        await fetch(transport, a_call(upstreams.base_url + "/json"))
    assert (upstreams.connections, upstreams.open_connections) == (3, 1)


async def test_a_connection_is_kept_for_its_own_way(
    transport: HttptoolsTransport, upstreams: Upstreams
) -> None:
    """Another name of the same host is another way."""
    for _ in range(2):
        await fetch(transport, a_call(upstreams.base_url + "/json"))
        url = upstreams.base_url.replace("127.0.0.1", "localhost")
        await fetch(transport, a_call(url + "/json"))
    assert upstreams.connections == 2


async def test_closing_closes_all(upstreams: Upstreams) -> None:
    """Idle and in use, once it returns; and what comes later is closed too."""
    transport = HttptoolsTransport()
    await fetch_together(transport, upstreams.base_url, 2)
    waiting = asyncio.create_task(transport.open(a_call(upstreams.base_url + "/never")))
    await upstreams.wait_calls("/never")
    await transport.aclose()
    with pytest.raises(Disconnected):
        await waiting
    await until(lambda: upstreams.open_connections == 0)
    with pytest.raises(Disconnected):
        await transport.open(a_call(upstreams.base_url + "/json"))
    await until(lambda: upstreams.open_connections == 0)
    await transport.aclose()


async def test_an_idle_connection_that_ends_is_dropped(transport: HttptoolsTransport) -> None:
    """At once, and not when it is needed."""

    async def answer_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 0\r\n\r\n")
        await asyncio.sleep(0.05)

    async with serving(answer_and_close) as url:
        await fetch(transport, a_call(url))
        assert transport._pool is not None
        assert len(transport._pool._idle_since) == 1
        await until(lambda: not transport._pool._idle_since and not transport._pool._open)


class Upstream:
    """An upstream whose loop is the test's: it answers, and then does as it is told."""

    def __init__(self) -> None:
        self.writers: list[asyncio.StreamWriter] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(ANSWER)

    def send(self, late: bytes) -> None:
        """Send at once, past the loop; nothing is the end."""
        fd = self.writers[-1].get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(fd)) as connection:
            if late:
                connection.send(late)
            else:
                connection.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("late", [STALE, b"\r\n", b""], ids=["an answer", "a line", "the end"])
@pytest.mark.parametrize("has_tls", [False, True])
async def test_what_the_loop_has_not_seen_yet_is_seen(
    transport: HttptoolsTransport, tls: ssl.SSLContext, late: bytes, has_tls: bool
) -> None:
    """It would answer the next request, or end it; nothing lets the loop look before that."""
    upstream = Upstream()
    async with serving(upstream, tls=tls if has_tls else None) as url:
        call = a_call(url, options=ConnectionOptions(verify=False))
        await fetch(transport, call)
        upstream.send(late)
        _, body = await fetch(transport, call)
        assert (body, len(upstream.writers)) == (b"ok", 2)


async def test_what_is_too_old_is_not_used(
    transport: HttptoolsTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the loop was too busy to close it."""
    monkeypatch.setattr(http_pool, "KEEP_ALIVE", 0.1)
    upstream = Upstream()
    async with serving(upstream) as url:
        await fetch(transport, a_call(url))
        time.sleep(0.15)  # noqa: ASYNC251 - as a loop that is busy
        await fetch(transport, a_call(url))
        assert len(upstream.writers) == 2
