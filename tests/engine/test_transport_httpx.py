"""What is an httpx client's own: its credentials, its mocks, its hooks, and its errors' meaning.

What it shares with the default stands in `test_transport`.
"""

import gzip
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from streaming.core.call import ConnectionOptions
from streaming.core.errors import ConfigError
from streaming.core.errors_upstream import (
    BadStatus,
    ConnectFailed,
    Disconnected,
    InternalError,
    ProtocolBroken,
    TimedOut,
    UpstreamError,
)
from streaming.engine.transport import MAX_READ_BYTES
from streaming.engine.transport_httpx import HttpxTransport
from tests.scripted_upstream import a_call, fetch, opened

CALL = a_call("http://a.example/x?q=1", headers=(("X-Own", "1"),))


def answering(answer: Callable[[httpx.Request], httpx.Response], **more: object) -> HttpxTransport:
    """Make a transport whose client asks a function instead of a network."""
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer), **more)  # type: ignore[arg-type]
    return HttpxTransport(client)


def failing(failure: Exception) -> HttpxTransport:
    def fail(_: httpx.Request) -> httpx.Response:
        raise failure

    return answering(fail)


# --------------------------------------------------------------------- the client


async def test_the_clients_own_ways_apply() -> None:
    """Its authentication, fields and cookies go along with what the call says."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    transport = answering(
        answer, auth=("me", "secret"), headers={"X-Client": "2", "X-Own": "0"}, cookies={"c": "3"}
    )
    await fetch(transport, CALL)
    assert str(seen[0].url) == CALL.url
    assert seen[0].headers["authorization"] == "Basic bWU6c2VjcmV0"
    assert seen[0].headers["cookie"] == "c=3"
    assert (seen[0].headers["x-client"], seen[0].headers["x-own"]) == ("2", "1")


async def test_without_credentials_the_client_adds_nothing() -> None:
    """After a redirect to another origin only the call's own fields go out."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    transport = answering(
        answer, auth=("me", "secret"), headers={"X-Client": "2"}, cookies={"c": "3"}
    )
    response = await transport.open(CALL, with_credentials=False)
    await response.aclose()
    assert seen[0].headers.multi_items() == [("host", "a.example"), ("x-own", "1")]


async def test_a_redirect_is_the_callers_though_the_client_would_follow() -> None:
    """Where it may lead is decided above."""
    transport = answering(
        lambda _: httpx.Response(302, headers={"Location": "/y"}), follow_redirects=True
    )
    response, _ = await fetch(transport, CALL)
    assert response.status == 302


async def test_only_the_time_to_connect_is_the_transports() -> None:
    """The client's own times do not cut a stream off."""
    seen: list[object] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(200)

    await fetch(answering(answer, timeout=0.1), CALL)
    assert seen == [{"connect": CALL.connect_timeout, "read": None, "write": None, "pool": None}]


async def test_the_client_stays_open() -> None:
    """Whoever made it closes it."""
    client = httpx.AsyncClient()
    await HttpxTransport(client).aclose()
    assert not client.is_closed
    await client.aclose()


@pytest.mark.parametrize(
    "options",
    [
        ConnectionOptions(ca_file="ca.pem"),
        ConnectionOptions(verify=False),
        ConnectionOptions(proxy="http://a.example"),
        ConnectionOptions(trust_env=True),
    ],
    ids=["ca_file", "verify", "proxy", "trust_env"],
)
async def test_connection_options_are_the_clients(
    options: ConnectionOptions, request: pytest.FixtureRequest
) -> None:
    """Set on an upstream they are refused by name, not passed over."""
    transport = answering(lambda _: httpx.Response(200))
    with pytest.raises(ConfigError) as caught:
        transport.check(options)
    assert caught.value.path == request.node.callspec.id
    with pytest.raises(ConfigError):
        await transport.open(a_call("http://a.example/", options=options))


def test_query_parameters_of_the_client_are_refused() -> None:
    """They would take the place of a call's query without a word."""
    with pytest.raises(ConfigError, match="query parameters"):
        answering(lambda _: httpx.Response(200), params={"key": "1"})


# ---------------------------------------------------------------------- the body


async def test_a_mocks_body_is_read() -> None:
    """Also one that the mock gives whole, in pieces of the usual size."""
    transport = answering(lambda _: httpx.Response(200, content=bytes(200_000)))
    sizes = []
    async with opened(transport, CALL) as response:
        while piece := await response.read():
            sizes.append(len(piece))
    assert sum(sizes) == 200_000
    assert max(sizes) == MAX_READ_BYTES


async def test_a_body_that_httpx_has_decoded_says_so() -> None:
    """A mock's gzip is undone already, and is not to be undone twice."""
    coded = {"Content-Encoding": "gzip", "X-A": "1"}
    transport = answering(
        lambda _: httpx.Response(200, content=gzip.compress(b"text"), headers=coded)
    )
    response, body = await fetch(transport, CALL)
    assert (body, response.header("Content-Encoding"), response.header("X-A")) == (
        b"text",
        None,
        "1",
    )


async def test_a_streamed_mock_comes_piece_by_piece() -> None:
    """Empty pieces are no end."""

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"", b"one", b"", b"two", b""):
            yield piece

    transport = answering(lambda _: httpx.Response(200, content=pieces()))
    async with opened(transport, CALL) as response:
        assert [await response.read() for _ in range(4)] == [b"one", b"two", b"", b""]


class EndlessStream(httpx.AsyncByteStream):
    """Goes on until it is closed, and counts how often that was."""

    closed = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"more"

    async def aclose(self) -> None:
        self.closed += 1


async def test_a_body_left_in_the_middle_is_closed() -> None:
    """With the response, and once."""
    stream = EndlessStream()
    async with opened(answering(lambda _: httpx.Response(200, stream=stream)), CALL) as response:
        await response.read()
    await response.aclose()
    assert stream.closed == 1


async def test_a_body_that_fails_goes_on_failing() -> None:
    """Its end is never mistaken for the body's."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        raise httpx.ReadError("")

    async with opened(answering(lambda _: httpx.Response(200, content=pieces())), CALL) as response:
        assert await response.read() == b"one"
        for _ in range(2):
            with pytest.raises(Disconnected):
                await response.read()


# ------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("failure", "meaning"),
    [
        (httpx.ConnectError(""), ConnectFailed),
        (httpx.ProxyError(""), ConnectFailed),
        (httpx.UnsupportedProtocol(""), ConnectFailed),
        (httpx.ReadError(""), Disconnected),
        (httpx.WriteError(""), Disconnected),
        (httpx.CloseError(""), Disconnected),
        (httpx.RemoteProtocolError(""), Disconnected),
        (ConnectionResetError(), Disconnected),
        (httpx.LocalProtocolError(""), InternalError),
    ],
    ids=lambda each: each.__name__ if isinstance(each, type) else type(each).__name__,
)
async def test_an_error_has_the_meaning_of_its_class(
    failure: Exception, meaning: type[UpstreamError]
) -> None:
    """Whatever its text says."""
    with pytest.raises(UpstreamError) as caught:
        await failing(failure).open(CALL)
    assert type(caught.value) is meaning
    assert caught.value.__cause__ is failure


@pytest.mark.parametrize(
    ("failure", "waiting_for"),
    [
        (httpx.ConnectTimeout(""), "connection"),
        (httpx.PoolTimeout(""), "connection"),
        (httpx.ReadTimeout(""), "head"),
        (TimeoutError(), "head"),
    ],
    ids=["ConnectTimeout", "PoolTimeout", "ReadTimeout", "TimeoutError"],
)
async def test_a_time_that_ran_out_says_which(failure: Exception, waiting_for: str) -> None:
    """The client's transport may have times of its own."""
    with pytest.raises(TimedOut) as caught:
        await failing(failure).open(CALL)
    assert caught.value.waiting_for == waiting_for


async def test_a_hook_may_refuse_a_status() -> None:
    """`raise_for_status` in a hook of the client's is the status that it refuses."""

    async def refuse(response: httpx.Response) -> None:
        response.raise_for_status()

    transport = answering(lambda _: httpx.Response(503), event_hooks={"response": [refuse]})
    with pytest.raises(BadStatus) as caught:
        await transport.open(CALL)
    assert caught.value.status == 503


async def test_a_location_that_httpx_cannot_read() -> None:
    """httpx looks at it though it is not to follow it."""
    transport = answering(lambda _: httpx.Response(302, headers={"Location": "http://a:port/"}))
    with pytest.raises(ProtocolBroken):
        await transport.open(CALL)
