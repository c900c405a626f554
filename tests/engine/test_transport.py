"""What every transport does: one battery for our own, for httpx, and for httpx on aiohttp.

On real sockets. What a transport cannot do is said in its module and left out here by name.
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest

from streaming.core.errors_upstream import ConnectFailed, Disconnected, ProtocolBroken, TimedOut
from streaming.engine.transport import MAX_READ_BYTES, Transport
from streaming.engine.transport_httptools import HttptoolsTransport
from streaming.engine.transport_httpx import HttpxTransport
from tests.scripted_upstream import (
    CHUNKED,
    OK,
    Behaviour,
    a_call,
    fetch,
    opened,
    read_all,
    say,
    serving,
)
from tests.upstreams import Upstreams, closed_port, full_backlog


@pytest.fixture(params=["httptools", "httpx", "httpx-aiohttp"])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    if request.param == "httptools":
        async with aclosing(HttptoolsTransport()) as transport:
            yield transport
        return
    carrier = None
    if request.param == "httpx-aiohttp":
        carrier = pytest.importorskip("httpx_aiohttp").AiohttpTransport()
    async with httpx.AsyncClient(transport=carrier, verify=False) as client:
        yield HttpxTransport(client)


def only(*names: str) -> pytest.MarkDecorator:
    """Run a test on these transports; why not on the others, their modules say."""
    return pytest.mark.parametrize("transport", names, indirect=True)


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    async with Upstreams() as upstreams:
        yield upstreams


# ------------------------------------------------------------------- the request


@only("httptools", "httpx")
async def test_path_and_query_go_out_as_they_stand(
    transport: Transport, upstreams: Upstreams
) -> None:
    """Nothing in them is decoded, encoded, folded or put in order."""
    target = "/echo/a%2Fb;c=1,2//%c3%A4/%2e%2E/:@!$&'()*+~?q=%20+%2B&q=a/b?c&&e=&%7b"
    await fetch(transport, a_call(upstreams.base_url + target))
    assert [request.target for request in upstreams.requests] == [target]


@only("httptools", "httpx")
async def test_headers_go_out_as_they_stand(transport: Transport, upstreams: Upstreams) -> None:
    """Each field, twice where it stands twice, and as UTF-8 beyond ASCII."""
    headers = (("X-A", "1"), ("Accept", "a/b"), ("X-A", "2"), ("X-City", "Zürich"))
    await fetch(transport, a_call(upstreams.base_url + "/echo", headers=headers))
    (request,) = upstreams.requests
    came = [(name, value.encode("latin-1").decode()) for name, value in request.headers]
    assert [pair for pair in came if pair in headers] == list(headers)


@only("httptools", "httpx")
@pytest.mark.parametrize("size", [0, 1, 3_000_000])
async def test_the_body_goes_out_whole(
    transport: Transport, upstreams: Upstreams, size: int
) -> None:
    """Bytes as they stand, with their length; also some megabytes, and without a warning."""
    await fetch(transport, a_call(upstreams.base_url + "/echo", method="POST", body=b"\0" * size))
    (request,) = upstreams.requests
    assert request.method == "POST"
    assert request.body == b"\0" * size
    assert request.header("content-length") == str(size)


async def test_a_redirect_is_not_followed(transport: Transport, upstreams: Upstreams) -> None:
    """It is the response, with its status and Location."""
    response, _ = await fetch(transport, a_call(upstreams.base_url + "/redirect?to=/json&code=307"))
    assert response.status == 307
    assert response.header("Location") == "/json"
    assert len(upstreams.requests) == 1


# ------------------------------------------------------------------ the response


@pytest.mark.parametrize("status", [200, 204, 304, 404, 503])
async def test_every_status_is_a_response(
    transport: Transport, upstreams: Upstreams, status: int
) -> None:
    """None is an error here, whether or not it has a body."""
    response, _ = await fetch(transport, a_call(f"{upstreams.base_url}/status/{status}"))
    assert response.status == status


async def test_an_answer_to_head_has_no_body(transport: Transport, upstreams: Upstreams) -> None:
    """It names a length and ends at once."""
    response, body = await fetch(transport, a_call(upstreams.base_url + "/json", method="HEAD"))
    assert (response.status, body) == (200, b"")


async def test_an_informational_head_is_passed_over(transport: Transport) -> None:
    """103 and the like come before the response (RFC 9110 section 15.2)."""
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok"
    async with serving(say(answer)) as url:
        response, body = await fetch(transport, a_call(url))
    assert (response.status, body) == (200, b"ok")


async def test_a_header_is_found_in_any_case(transport: Transport) -> None:
    """The first of several; None where there is none."""
    head = b"X-A: one\r\nx-a: two\r\nContent-Length: 0\r\n\r\n"
    async with serving(say(OK + head)) as url:
        response, _ = await fetch(transport, a_call(url))
    assert response.header("x-A") == "one"
    assert response.header("X-C") is None


async def test_a_header_can_be_written_as_json(transport: Transport) -> None:
    """Bytes that are not UTF-8 leave no half of a character pair behind."""
    async with serving(say(OK + b"X-A: caf\xe9\r\nContent-Length: 0\r\n\r\n")) as url:
        response, _ = await fetch(transport, a_call(url))
    assert (response.header("X-A") or "").encode().startswith(b"caf")


async def test_the_content_coding_is_left_alone(transport: Transport, upstreams: Upstreams) -> None:
    """The bytes come as they are on the wire, and the field still says so."""
    response, body = await fetch(transport, a_call(upstreams.base_url + "/gzip"))
    assert response.header("content-encoding") == "gzip"
    assert body.startswith(b"\x1f\x8b")


FRAMED = pytest.mark.parametrize(
    "head",
    [CHUNKED, OK + b"Content-Length: 524288\r\n\r\n", OK + b"\r\n"],
    ids=["chunked", "length", "until close"],
)


@FRAMED
async def test_each_piece_comes_at_once(transport: Transport, head: bytes) -> None:
    """A piece is here before the upstream sends the next."""
    was_read = asyncio.Queue[None]()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        for n in range(3):
            writer.write(b"3\r\np-%d\r\n" % n)
            await was_read.get()

    async with (
        serving(behave) as url,
        opened(transport, a_call(url)) as response,
        asyncio.timeout(10),
    ):
        for n in range(3):
            assert b"p-%d" % n in await response.read()
            was_read.put_nowait(None)


async def test_a_long_body_comes_in_pieces(transport: Transport, upstreams: Upstreams) -> None:
    """None is over the bound, and none is missing."""
    sizes = []
    async with opened(transport, a_call(upstreams.base_url + "/large?bytes=5000000")) as response:
        while piece := await response.read():
            sizes.append(len(piece))
    assert sum(sizes) == 5_000_000
    assert max(sizes) <= MAX_READ_BYTES


@FRAMED
async def test_a_slow_reader_gets_all_that_was_sent(transport: Transport, head: bytes) -> None:
    """Also when the upstream has long closed the connection behind it."""
    body = bytes(0x80000)
    total = 0
    sent = head + (b"80000\r\n%b\r\n0\r\n\r\n" % body if head == CHUNKED else body)
    async with serving(say(sent)) as url, opened(transport, a_call(url)) as response:
        while piece := await response.read():
            total += len(piece)
            await asyncio.sleep(0.02)
    assert total == len(body)


async def test_an_upstream_waits_for_its_reader(transport: Transport) -> None:
    """While nobody reads it is held up, once the kernel's buffers are full."""
    sent = 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(OK + b"\r\n")
        while True:
            writer.write(bytes(65536))
            sent += 65536
            await writer.drain()

    async with serving(flood) as url, opened(transport, a_call(url)) as response:
        await response.read()
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
    assert sent < 32_000_000


# ------------------------------------------------------------------------ faults


async def test_a_refused_connection(transport: Transport) -> None:
    """Nobody listens there."""
    with pytest.raises(ConnectFailed):
        await transport.open(a_call(f"http://127.0.0.1:{closed_port()}/"))


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 64 + ".invalid", "127.1"])
async def test_a_host_that_is_not_known(transport: Transport, host: str) -> None:
    """A name that DNS does not have, or cannot be asked for, or a number written another way."""
    with pytest.raises(ConnectFailed):
        await transport.open(a_call(f"http://{host}:{closed_port()}/"))


async def test_a_connection_that_is_never_made(transport: Transport) -> None:
    """The time for it runs out, and the error says which it was."""
    with full_backlog() as port, pytest.raises(TimedOut) as caught:
        await transport.open(a_call(f"http://127.0.0.1:{port}/", connect_timeout=0.25))
    assert (caught.value.waiting_for, caught.value.seconds) == ("connection", 0.25)


NOT_HTTP = {
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "a length that is none": OK + b"Content-Length: five\r\n\r\nabcde",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
    "a field of 200 KB": OK + b"X: " + b"x" * 200_000 + b"\r\n\r\n",
    "a field without end": OK + b"X: " + b"x" * 200_000,
}


@pytest.mark.parametrize("answer", NOT_HTTP.values(), ids=NOT_HTTP.keys())
async def test_a_head_that_is_not_http(transport: Transport, answer: bytes) -> None:
    """It is refused."""
    async with serving(say(answer)) as url:
        with pytest.raises(ProtocolBroken):
            await transport.open(a_call(url))


BROKEN_HEADS = {
    "nothing": say(),
    "a reset": say(then_reset=True),
    "half a status line": say(b"HTTP/1.1 2"),
    "half a head": say(OK + b"Content-Le"),
    "half a head and a reset": say(OK + b"Content-Le", then_reset=True),
}


@pytest.mark.parametrize("behave", BROKEN_HEADS.values(), ids=BROKEN_HEADS.keys())
async def test_a_head_that_breaks_off(transport: Transport, behave: Behaviour) -> None:
    """It is Disconnected, in order or by a reset."""
    async with serving(behave) as url:
        with pytest.raises(Disconnected):
            await transport.open(a_call(url, method="POST"))


@only("httptools", "httpx")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("path", ["/hangup", "/reset"])
async def test_nothing_is_sent_twice(
    transport: Transport, upstreams: Upstreams, method: str, path: str
) -> None:
    """Whether to try again is decided above, where it is told."""
    with pytest.raises(Disconnected):
        await transport.open(a_call(upstreams.base_url + path, method=method))
    await asyncio.sleep(0.05)
    assert upstreams.calls[path] == 1


LENGTH_10 = OK + b"Content-Length: 10\r\n\r\n"
BROKEN_BODIES = {
    "less than its length": say(LENGTH_10 + b"abcde"),
    "less than its length and a reset": say(LENGTH_10 + b"abcde", then_reset=True),
    "no last chunk": say(CHUNKED + b"5\r\nabcde\r\n"),
    "no last chunk and a reset": say(CHUNKED + b"5\r\nabcde\r\n", then_reset=True),
    "half a chunk": say(CHUNKED + b"9\r\nabcde"),
}


@pytest.mark.parametrize("behave", BROKEN_BODIES.values(), ids=BROKEN_BODIES.keys())
async def test_a_body_that_breaks_off(transport: Transport, behave: Behaviour) -> None:
    """What came is given first; then it is Disconnected."""
    async with serving(behave) as url, opened(transport, a_call(url)) as response:
        assert await response.read() == b"abcde"
        with pytest.raises(Disconnected):
            await response.read()


@only("httptools", "httpx")
async def test_a_late_reader_of_a_body_that_broke_off(transport: Transport) -> None:
    """What came before the break is not lost, and the break is not forgotten."""
    behave = say(LENGTH_10 + b"abcde")
    async with serving(behave) as url, opened(transport, a_call(url)) as response:
        await asyncio.sleep(0.2)
        assert await response.read() == b"abcde"
        for _ in range(2):
            with pytest.raises(Disconnected):
                await response.read()


@only("httptools", "httpx")
async def test_a_body_without_length_that_is_reset(transport: Transport) -> None:
    """It is not taken for whole."""
    behave = say(OK + b"\r\nabcde", then_reset=True)
    async with serving(behave) as url, opened(transport, a_call(url)) as response:
        assert await response.read() == b"abcde"
        with pytest.raises(Disconnected):
            await response.read()


async def test_a_body_without_length_that_is_closed(transport: Transport) -> None:
    """The end of the connection is its end (RFC 9112 section 6.3)."""
    async with serving(say(OK + b"\r\n", b"abc", b"de")) as url:
        _, body = await fetch(transport, a_call(url))
    assert body == b"abcde"


@only("httptools")
@pytest.mark.parametrize("garbage", [b"zz\r\n", b"5\r\nabcdeXX", b"-1\r\n"])
async def test_a_chunk_that_is_malformed(transport: Transport, garbage: bytes) -> None:
    """What came before it is given; then it is told, and nobody waits for the rest."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + b"5\r\nabcde\r\n")
        await asyncio.sleep(0.05)
        writer.write(garbage)
        await reader.read()

    async with (
        serving(behave) as url,
        opened(transport, a_call(url)) as response,
        asyncio.timeout(10),
    ):
        assert await response.read() == b"abcde"
        with pytest.raises(ProtocolBroken):
            await read_all(response)


# ----------------------------------------------------------------- who closes it


async def test_cancelled_before_the_head(transport: Transport, upstreams: Upstreams) -> None:
    """The upstream sees the connection closed at once."""
    opening = asyncio.create_task(transport.open(a_call(upstreams.base_url + "/never")))
    await upstreams.wait_calls("/never")
    opening.cancel()
    await upstreams.wait_closed_by_peer("/never", timeout=10)
    with pytest.raises(asyncio.CancelledError):
        await opening


async def test_cancelled_in_the_body(transport: Transport, upstreams: Upstreams) -> None:
    """Whoever was reading closes the response, and the upstream sees it at once."""
    call = a_call(upstreams.base_url + "/stall-in-body")
    reading = asyncio.create_task(fetch(transport, call))
    await upstreams.wait_calls("/stall-in-body")
    await asyncio.sleep(0.05)
    reading.cancel()
    await upstreams.wait_closed_by_peer("/stall-in-body", timeout=10)
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_an_unread_body_is_not_read_on(transport: Transport, upstreams: Upstreams) -> None:
    """Closing the response closes the connection; closing it again does nothing."""
    response = await transport.open(a_call(upstreams.base_url + "/endless"))
    await response.read()
    await response.aclose()
    await upstreams.wait_closed_by_peer("/endless", timeout=10)
    await response.aclose()


async def test_a_connection_is_used_again(transport: Transport, upstreams: Upstreams) -> None:
    """After a body that was read to its end, whatever frames it."""
    for path in ("/json", "/sse", "/status/204", "/gzip", "/json"):
        await fetch(transport, a_call(upstreams.base_url + path))
    assert upstreams.connections == 1


async def test_a_connection_left_in_the_middle_is_not_used_again(
    transport: Transport, upstreams: Upstreams
) -> None:
    """The next call gets its own answer, on another connection."""
    response = await transport.open(a_call(upstreams.base_url + "/stall-in-body"))
    await response.aclose()
    _, body = await fetch(transport, a_call(upstreams.base_url + "/json"))
    assert body.startswith(b"{")
    assert upstreams.connections == 2


async def test_a_kept_connection_that_was_closed_is_not_used(transport: Transport) -> None:
    """An upstream that closes what it has answered on is called on a new connection."""
    async with serving(say(OK + b"Content-Length: 2\r\n\r\nok")) as url:
        for _ in range(3):
            _, body = await fetch(transport, a_call(url, method="POST", body=b""))
            assert body == b"ok"
            await asyncio.sleep(0.1)


async def test_a_kept_connection_that_is_reset_says_nothing(
    transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is waiting on it, so that there is nothing to log."""
    behave = say(CHUNKED + b"5\r\nabcde\r\n", b"0\r\n\r\n", then_reset=True)
    async with serving(behave) as url:
        for _ in range(2):
            _, body = await fetch(transport, a_call(url))
            assert body == b"abcde"
            await asyncio.sleep(0.2)
        gc.collect()
    assert [record for record in caplog.records if record.name == "asyncio"] == []


@only("httptools")
async def test_a_body_that_came_whole_stays_so(transport: Transport) -> None:
    """What becomes of the connection after it is no affair of a slow reader."""
    behave = say(LENGTH_10 + b"abcde", b"fghij", then_reset=True)
    async with serving(behave) as url, opened(transport, a_call(url)) as response:
        await asyncio.sleep(0.3)
        assert await read_all(response) == b"abcdefghij"
