"""What is the default transport's own: exact fields, TLS, no cookies.

What it shares with the other stands in `test_transport`, its proxies in `test_http_proxy`.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from streaming.core.call import ConnectionOptions
from streaming.core.errors import ConfigError
from streaming.core.errors_upstream import ConnectFailed, Disconnected, TimedOut
from streaming.engine.transport_httptools import HttptoolsTransport
from tests.scripted_upstream import OK, a_call, fetch, opened, say, serving
from tests.upstreams import Upstreams

ANSWER = OK + b"Content-Length: 2\r\n\r\nok"


@pytest.fixture
async def transport() -> AsyncIterator[HttptoolsTransport]:
    async with aclosing(HttptoolsTransport()) as transport:
        yield transport


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    async with Upstreams() as upstreams:
        yield upstreams


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST", "PUT", "PATCH"])
async def test_no_field_is_added(
    transport: HttptoolsTransport, upstreams: Upstreams, method: str
) -> None:
    """Beside the call's own there are Host and, where a body is expected, that there is none."""
    fields = (("x-lower", "1"), ("X-Upper", "2"))
    await fetch(transport, a_call(upstreams.base_url + "/echo", method=method, headers=fields))
    length = [("Content-Length", "0")] if method in {"POST", "PUT", "PATCH"} else []
    host = ("Host", f"127.0.0.1:{upstreams.port}")
    assert upstreams.requests[0].headers == [host, *fields, *length]


async def test_no_content_type_is_added(
    transport: HttptoolsTransport, upstreams: Upstreams
) -> None:
    """Nor is the one of the call replaced."""
    url = upstreams.base_url + "/echo"
    await fetch(transport, a_call(url, method="POST", body=b"x"))
    await fetch(
        transport, a_call(url, method="POST", body=b"x", headers=(("Content-Type", "a/b"),))
    )
    assert [each.header("content-type") for each in upstreams.requests] == [None, "a/b"]


async def test_the_host_may_be_the_calls_own(
    transport: HttptoolsTransport, upstreams: Upstreams
) -> None:
    """A configured Host takes the place of the URL's."""
    await fetch(transport, a_call(upstreams.base_url + "/echo", headers=(("Host", "a.example"),)))
    assert upstreams.requests[0].headers == [("Host", "a.example")]


async def test_a_target_that_other_clients_repair(
    transport: HttptoolsTransport, upstreams: Upstreams
) -> None:
    """Dot segments and bare characters stay too."""
    target = '/echo/../a/./b|c^{}"<>`?q={"a":\'b\'}'
    await fetch(transport, a_call(upstreams.base_url + target))
    assert upstreams.requests[0].target == target


async def test_no_cookie_comes_back(transport: HttptoolsTransport, upstreams: Upstreams) -> None:
    """What one call is told to remember, another never sends."""
    url = upstreams.base_url.replace("127.0.0.1", "localhost")  # no jar takes them for an address
    await fetch(transport, a_call(url + "/set-cookie"))
    await fetch(transport, a_call(url + "/json"))
    assert upstreams.requests[1].header("cookie") is None


async def test_connections_are_not_limited(
    transport: HttptoolsTransport, upstreams: Upstreams
) -> None:
    """More than a hundred are open at once; the caller holds the bound."""
    call = a_call(upstreams.base_url + "/never")
    opening = [asyncio.create_task(transport.open(call)) for _ in range(120)]
    await upstreams.wait_calls("/never", 120)
    for task in opening:
        task.cancel()
    await upstreams.wait_closed_by_peer("/never", 120, timeout=10)


async def test_closing_ends_a_body_that_is_being_read(upstreams: Upstreams) -> None:
    """A reader that waits is told, and the upstream sees the connection closed."""
    transport = HttptoolsTransport()
    async with opened(transport, a_call(upstreams.base_url + "/head-then-stall")) as response:
        reading = asyncio.create_task(response.read())
        await asyncio.sleep(0.05)
        await transport.aclose()
        with pytest.raises(Disconnected):
            await asyncio.wait_for(reading, 10)
    await upstreams.wait_closed_by_peer("/head-then-stall", timeout=10)


async def test_a_kept_connection_closed_at_the_next_call(transport: HttptoolsTransport) -> None:
    """It is Disconnected and not tried again here: the upstream may have begun to work on it."""
    requests = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await reader.readuntil(b"\r\n\r\n")
        requests += 1

    async with serving(behave) as url:
        await fetch(transport, a_call(url))
        with pytest.raises(Disconnected):
            await fetch(transport, a_call(url))
    assert requests == 1


async def test_a_call_that_cannot_be_written_leaves_nothing_open(
    transport: HttptoolsTransport, upstreams: Upstreams
) -> None:
    """The connection that waits still does, and no other is made."""
    await fetch(transport, a_call(upstreams.base_url + "/json"))
    for bad in ("a\r\nb: c", "\ud800"):
        with pytest.raises(ValueError):  # noqa: PT011 - a mistake of ours, that has no class
            await transport.open(a_call(upstreams.base_url + "/json", headers=(("X-A", bad),)))
    assert transport._pool is not None
    assert len(transport._pool._idle_since) == len(transport._pool._open) == 1
    await fetch(transport, a_call(upstreams.base_url + "/json"))
    assert upstreams.connections == 1


# --------------------------------------------------------------------------- TLS


async def test_an_unknown_certificate_is_refused(
    transport: HttptoolsTransport, tls: ssl.SSLContext
) -> None:
    """Nobody whom this machine trusts has signed it."""
    async with serving(say(ANSWER), tls=tls) as url:
        with pytest.raises(ConnectFailed):
            await transport.open(a_call(url))


async def test_a_certificate_may_be_trusted_by_file(
    transport: HttptoolsTransport, tls: ssl.SSLContext, certificate: Path
) -> None:
    """`ca_file` names whom to trust."""
    options = ConnectionOptions(ca_file=str(certificate))
    async with serving(say(ANSWER), tls=tls) as url:
        _, body = await fetch(transport, a_call(url, options=options))
    assert body == b"ok"


async def test_a_trusted_certificate_for_another_host_is_refused(
    transport: HttptoolsTransport, tls: ssl.SSLContext, certificate: Path
) -> None:
    """The name is compared too."""
    options = ConnectionOptions(ca_file=str(certificate))
    async with serving(say(ANSWER), tls=tls) as url:
        with pytest.raises(ConnectFailed):
            await transport.open(a_call(url.replace("127.0.0.1", "localhost"), options=options))


async def test_certificates_may_go_unchecked(
    transport: HttptoolsTransport, tls: ssl.SSLContext
) -> None:
    """`verify = false` takes any, and its connection is not used by calls that do check."""
    behave = say(ANSWER)

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await behave(reader, writer)
        await behave(reader, writer)

    async with serving(twice, tls=tls) as url:
        await fetch(transport, a_call(url, options=ConnectionOptions(verify=False)))
        with pytest.raises(ConnectFailed):
            await transport.open(a_call(url))


async def test_what_is_no_tls_is_refused(transport: HttptoolsTransport) -> None:
    """https to a port that speaks another protocol."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")

    async with serving(greet) as url:
        with pytest.raises(ConnectFailed):
            await transport.open(a_call(url.replace("http:", "https:")))


async def test_the_time_to_connect_covers_tls(transport: HttptoolsTransport) -> None:
    """A port that takes the connection and says nothing."""

    async def be_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with serving(be_silent) as url:
        with pytest.raises(TimedOut) as caught:
            await transport.open(a_call(url.replace("http:", "https:"), connect_timeout=0.25))
    assert caught.value.waiting_for == "connection"


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
async def test_a_bad_ca_file_is_a_mistake_in_the_configuration(
    transport: HttptoolsTransport, tmp_path: Path, content: bytes | None
) -> None:
    """Missing, empty or something else: told by `check`, before there is a call."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        transport.check(ConnectionOptions(ca_file=str(file)))
    assert caught.value.path == "ca_file"
