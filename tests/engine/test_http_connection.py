"""Connections on real sockets: who is told of their life, and when they can be used again."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager

import pytest

from streaming.core.errors_upstream import Disconnected, ProtocolBroken
from streaming.core.url import parse_url
from streaming.engine.http_connection import MAX_WRITE_BYTES, READ_BUFFER_BYTES, HttpConnection
from streaming.engine.http_response import HttpResponse
from tests.scripted_upstream import CHUNKED, OK, Behaviour, read_all, say, serving

PATIENCE = 5.0
ANSWER = OK + b"Content-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE = bytes(8 << 20)


class Recording:
    """An owner that says what it was told."""

    def __init__(self) -> None:
        self.read_buffer = memoryview(bytearray(READ_BUFFER_BYTES))
        self.told: list[str] = []
        self.lost = asyncio.Event()

    def receive_open(self, connection: HttpConnection) -> None:
        self.told.append("open")

    def receive_free(self, connection: HttpConnection) -> None:
        self.told.append("free")

    def receive_closing(self, connection: HttpConnection) -> None:
        if self.told[-1] != "closing":
            self.told.append("closing")

    def receive_lost(self, connection: HttpConnection) -> None:
        self.told.append("lost")
        self.lost.set()


@asynccontextmanager
async def connected(behave: Behaviour) -> AsyncIterator[tuple[HttpConnection, Recording]]:
    """A connection to an upstream that behaves so."""
    owner = Recording()
    async with serving(behave) as url, asyncio.timeout(PATIENCE):
        connection = HttpConnection(owner, way="")
        port = parse_url(url).origin.port
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: connection, "127.0.0.1", port)
        connection.complete()
        try:
            yield connection, owner
        finally:
            connection.close()
            await owner.lost.wait()


async def ask(connection: HttpConnection) -> bytes:
    async with aclosing(await connection.exchange("GET", GET, None)) as response:
        return await read_all(response)


def repeating(*parts: bytes, delay: float = 0.0) -> Behaviour:
    """Say the parts to each request of a connection."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            for part in parts:
                writer.write(part)
                await asyncio.sleep(delay)

    return behave


async def test_it_is_free_after_each_answer() -> None:
    """As often as it is asked, and it is lost once."""
    async with connected(repeating(ANSWER)) as (connection, owner):
        for _ in range(3):
            assert await ask(connection) == b"ok"
        assert owner.told == ["open", "free", "free", "free"]
    assert owner.told[4:] == ["closing", "lost"]


NOT_AGAIN = {
    "the upstream says so": OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok",
    "something stands behind": ANSWER + b"\r\n",
    "another answer stands behind": ANSWER + ANSWER,
    "another answer behind the last chunk": CHUNKED + b"2\r\nok\r\n0\r\n\r\n" + ANSWER,
    "something behind the last chunk": CHUNKED + b"2\r\nok\r\n0\r\n\r\n\r\n",
}


@pytest.mark.parametrize("answer", NOT_AGAIN.values(), ids=NOT_AGAIN.keys())
async def test_it_is_closed_after_an_answer_that_is_not_clean(answer: bytes) -> None:
    """The answer itself is as good as any."""
    async with connected(repeating(answer)) as (connection, owner):
        assert await ask(connection) == b"ok"
        await owner.lost.wait()
        assert "free" not in owner.told


async def test_it_is_not_free_before_it_is_complete() -> None:
    """What a proxy refuses a tunnel by is as whole as any answer, and leads to nobody."""
    owner = Recording()
    async with serving(repeating(ANSWER)) as url, asyncio.timeout(PATIENCE):
        connection = HttpConnection(owner, way="")
        port = parse_url(url).origin.port
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: connection, "127.0.0.1", port)
        assert await ask(connection) == b"ok"
        await owner.lost.wait()
    assert owner.told == ["open", "closing", "lost"]


@pytest.mark.parametrize("late", [b"\r\n", b"x", ANSWER])
async def test_what_comes_while_it_is_idle_closes_it(late: bytes) -> None:
    """It answers nothing that is asked later."""
    async with connected(repeating(ANSWER, late, delay=0.05)) as (connection, owner):
        assert await ask(connection) == b"ok"
        await owner.lost.wait()
        assert owner.told == ["open", "free", "closing", "lost"]
        with pytest.raises(Disconnected):
            await ask(connection)


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER,
        CHUNKED + b"2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"1\r\no\r\n1\r\nk\r\n0\r\nX-A: b\r\n\r\n",
        OK + b"\r\nok",
    ],
    ids=["length", "chunked", "trailers", "until the end"],
)
async def test_an_upstream_may_answer_before_it_is_asked(answer: bytes) -> None:
    """As one that is full does; the answer counts, and the connection is not used again."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    async with connected(greet) as (connection, owner):
        await asyncio.sleep(0.05)
        assert await ask(connection) == b"ok"
        assert "free" not in owner.told


async def test_a_greeting_of_another_protocol_is_told() -> None:
    """Not that it broke: another attempt would meet the same."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")

    async with connected(greet) as (connection, _):
        await asyncio.sleep(0.05)
        with pytest.raises(ProtocolBroken):
            await ask(connection)


async def test_connections_share_what_they_are_read_into() -> None:
    """A hundred long answers at once come whole, each its own."""
    owner = Recording()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        n = int(await reader.readexactly(1))
        body = bytes([n]) * 500_000
        for start in range(0, len(body), 30_000):
            writer.write(OK + b"Connection: close\r\n\r\n" if not start else b"")
            writer.write(body[start : start + 30_000])
            await writer.drain()

    async def ask_for(n: int, port: int) -> bytes:
        connection = HttpConnection(owner, way="")
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: connection, "127.0.0.1", port)
        async with aclosing(await connection.exchange("GET", b"%d" % n, None)) as response:
            return await read_all(response)

    async with serving(answer) as url, asyncio.timeout(PATIENCE):
        port = parse_url(url).origin.port
        bodies = await asyncio.gather(*(ask_for(n % 10, port) for n in range(100)))
    assert bodies == [bytes([n % 10]) * 500_000 for n in range(100)]


# --------------------------------------------------------------- long requests


async def test_a_long_request_may_be_answered_before_it_is_sent() -> None:
    """The answer is read; the connection, which is in the middle of the request, is closed."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await asyncio.Event().wait()

    async with connected(refuse) as (connection, owner):
        async with aclosing(await connection.exchange("POST", GET, LARGE)) as response:
            assert await read_all(response) == b"ok"
        await owner.lost.wait()
        assert "free" not in owner.told


async def test_a_long_request_goes_on_while_its_answer_comes() -> None:
    """Neither waits for the other, and the connection is free when both are whole."""
    received = 0

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: %d\r\n\r\n" % len(LARGE))
        while received < len(LARGE):
            piece = await reader.read(65536)
            received += len(piece)
            writer.write(piece)
            await writer.drain()
        await reader.read()

    async with connected(echo) as (connection, owner):
        async with aclosing(await connection.exchange("POST", GET, LARGE)) as response:
            assert len(await read_all(response)) == len(LARGE) == received
        assert owner.told == ["open", "free"]


async def test_a_request_that_nobody_takes_is_not_held_twice() -> None:
    """Beyond what the kernel takes, one piece waits in the loop; cancelled, it goes nowhere."""
    left = asyncio.Event()

    async def take_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        while await reader.read(65536):
            pass
        left.set()

    async with connected(take_nothing) as (connection, owner):
        asking = asyncio.create_task(connection.exchange("POST", GET, LARGE))
        await asyncio.sleep(0.1)
        assert connection.transport is not None
        assert connection.transport.get_write_buffer_size() <= 3 * MAX_WRITE_BYTES
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await owner.lost.wait()
        with pytest.raises((TimeoutError, ConnectionError)):
            await asyncio.wait_for(left.wait(), 0.0)


# ---------------------------------------------------------------- nothing is left


@pytest.fixture
def collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def leave_whole(connection: HttpConnection) -> None:
    await ask(connection)


async def leave_in_the_middle(connection: HttpConnection) -> None:
    response = await connection.exchange("GET", GET, None)
    await response.read()
    await response.aclose()


async def leave_before_the_head(connection: HttpConnection) -> None:
    asking = asyncio.create_task(connection.exchange("GET", GET, None))
    await asyncio.sleep(0.02)
    asking.cancel()
    await asyncio.wait([asking])


async def meet_a_break(connection: HttpConnection) -> None:
    try:
        await ask(connection)
    except (Disconnected, ProtocolBroken):
        pass
    else:
        pytest.fail("it did not break")


LEAVING: dict[str, tuple[Behaviour, Callable[[HttpConnection], Awaitable[None]]]] = {
    "whole": (repeating(ANSWER), leave_whole),
    "chunked": (repeating(CHUNKED + b"2\r\nok\r\n0\r\n\r\n"), leave_whole),
    "in the middle": (repeating(CHUNKED + b"2\r\nok\r\n"), leave_in_the_middle),
    "before the head": (repeating(b"HTTP/1.1 2"), leave_before_the_head),
    "a break": (say(CHUNKED + b"2\r\nok\r\n"), meet_a_break),
    "a reset": (say(CHUNKED + b"2\r\nok\r\n", then_reset=True), meet_a_break),
    "a broken head": (say(b"HTTP/3.1 2"), meet_a_break),
    "a broken chunk": (say(CHUNKED + b"2\r\nok\r\nzz\r\n"), meet_a_break),
}


@pytest.mark.parametrize(("behave", "leave"), LEAVING.values(), ids=LEAVING.keys())
@pytest.mark.usefixtures("collector_off")
async def test_no_response_waits_for_the_collector(
    behave: Behaviour, leave: Callable[[HttpConnection], Awaitable[None]]
) -> None:
    """However its call ended: neither a connection nor an exception goes round in a circle."""
    async with connected(behave) as (connection, owner):
        await leave(connection)
    del connection, owner
    left = [each for each in gc.get_objects() if isinstance(each, HttpResponse | HttpConnection)]
    assert left == []
