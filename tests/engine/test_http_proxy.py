"""Proxies: what they are told, what goes through them, and where the environment names them."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from streaming.core.call import ConnectionOptions
from streaming.core.errors import ConfigError
from streaming.core.errors_upstream import ConnectFailed, Disconnected
from streaming.engine.http_proxy import parse_proxy
from streaming.engine.transport_httptools import HttptoolsTransport
from tests.recording_proxy import ANSWER, RecordingProxy
from tests.scripted_upstream import OK, Behaviour, a_call, fetch, say, serving
from tests.upstreams import Upstreams, closed_port


@pytest.fixture
async def transport() -> AsyncIterator[HttptoolsTransport]:
    async with aclosing(HttptoolsTransport()) as transport:
        yield transport


def answering(*answers: bytes) -> Behaviour:
    """Give one answer to each request of a connection."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        await reader.read()

    return behave


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        ("http://p", ""),
        ("http://me:secret@p", "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"),
        ("http://me@p", "Proxy-Authorization: Basic bWU6\r\n"),
        ("http://m%65:a%3Ab%40@p/", "Proxy-Authorization: Basic bWU6YTpiQA==\r\n"),
    ],
)
def test_a_proxys_credentials_stand_in_its_url(url: str, fields: str) -> None:
    """Percent-encoded, where they have characters of their own (RFC 7617)."""
    proxy = parse_proxy(url)
    assert (str(proxy.origin), proxy.fields) == ("http://p", fields)
    assert "Basic" not in repr(proxy)


async def test_a_proxy_is_asked_for_the_whole_url(transport: HttptoolsTransport) -> None:
    """Exactly as it stands, and with the proxy's own credentials."""
    proxy = RecordingProxy()
    async with serving(proxy) as url:
        options = ConnectionOptions(proxy=url.replace("//", "//me:secret@"))
        await fetch(transport, a_call("http://a.invalid/%2F?q=%20", options=options))
    assert proxy.heads[0].startswith("GET http://a.invalid/%2F?q=%20 HTTP/1.1\r\n")
    assert "\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n" in proxy.heads[0]


async def test_a_proxy_tunnels_tls(
    transport: HttptoolsTransport, tls: ssl.SSLContext, certificate: Path
) -> None:
    """The upstream's certificate is checked through it, and it sees no request."""
    proxy = RecordingProxy()
    async with serving(proxy) as proxy_url, serving(say(ANSWER), tls=tls) as url:
        options = ConnectionOptions(proxy=proxy_url, ca_file=str(certificate))
        _, body = await fetch(transport, a_call(url + "/secret", options=options))
    assert body == b"ok"
    assert [head.partition(" ")[0] for head in proxy.heads] == ["CONNECT"]


async def test_a_path_is_asked_for_even_if_there_is_none(transport: HttptoolsTransport) -> None:
    """A URL may end with its host, a request may not."""
    proxy = RecordingProxy()
    async with serving(proxy) as url:
        await fetch(transport, a_call("http://a.invalid?q", options=ConnectionOptions(proxy=url)))
    assert proxy.heads[0].startswith("GET http://a.invalid/?q HTTP/1.1\r\nHost: a.invalid\r\n")


async def test_a_proxys_credentials_are_for_it_alone(
    transport: HttptoolsTransport, tls: ssl.SSLContext
) -> None:
    """They go with CONNECT, and not through the tunnel."""
    proxy, upstream = RecordingProxy(), RecordingProxy()
    async with serving(proxy) as proxy_url, serving(upstream, tls=tls) as url:
        mine = proxy_url.replace("//", "//me:secret@")
        await fetch(transport, a_call(url, options=ConnectionOptions(proxy=mine, verify=False)))
    assert "\r\nProxy-Authorization: Basic " in proxy.heads[0]
    assert "Authorization" not in upstream.heads[0]


async def test_a_tunnel_is_used_again(transport: HttptoolsTransport, tls: ssl.SSLContext) -> None:
    """Also one of a proxy that speaks HTTP/1.0."""
    proxy = RecordingProxy(agreement=b"HTTP/1.0 200 Connection established\r\n\r\n")
    async with serving(proxy) as proxy_url, serving(answering(*[ANSWER] * 3), tls=tls) as url:
        options = ConnectionOptions(proxy=proxy_url, verify=False)
        for _ in range(3):
            assert (await fetch(transport, a_call(url, options=options)))[1] == b"ok"
    assert len(proxy.heads) == 1


async def test_a_proxy_that_refuses_a_tunnel_is_told_nothing_else(
    transport: HttptoolsTransport,
) -> None:
    """However many ask at once: the connection would be good for another request, in plain text."""
    heads: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            heads.append(head)
            writer.write(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")

    async with serving(refuse) as url:
        call = a_call("https://a.invalid/secret", options=ConnectionOptions(proxy=url))

        async def ask_often() -> None:
            for _ in range(5):
                with pytest.raises(ConnectFailed):
                    await transport.open(call)

        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(ask_often())
    assert {head.partition(b" ")[0] for head in heads} == {b"CONNECT"}
    assert len(heads) == 100


async def test_a_proxy_may_be_spoken_to_over_tls(
    transport: HttptoolsTransport, tls: ssl.SSLContext, certificate: Path
) -> None:
    """Its certificate is checked; a tunnel through it has TLS within TLS."""
    proxy = RecordingProxy()
    async with serving(proxy, tls=tls) as proxy_url, serving(say(ANSWER), tls=tls) as url:
        options = ConnectionOptions(proxy=proxy_url, ca_file=str(certificate))
        assert (await fetch(transport, a_call("http://a.invalid", options=options)))[1] == b"ok"
        assert (await fetch(transport, a_call(url, options=options)))[1] == b"ok"
        with pytest.raises(ConnectFailed):
            await transport.open(a_call(url, options=ConnectionOptions(proxy=proxy_url)))
    assert [head.partition(" ")[0] for head in proxy.heads] == ["GET", "CONNECT"]


async def test_what_stands_behind_an_agreement_is_no_tunnel(
    transport: HttptoolsTransport, tls: ssl.SSLContext
) -> None:
    """Nobody has asked for it."""
    proxy = RecordingProxy(agreement=OK + b"\r\nmore")
    async with serving(proxy) as proxy_url, serving(say(ANSWER), tls=tls) as url:
        with pytest.raises(ConnectFailed):
            options = ConnectionOptions(proxy=proxy_url, verify=False)
            await transport.open(a_call(url, options=options))


async def test_a_proxy_that_breaks_off_is_no_upstream_that_does(
    transport: HttptoolsTransport,
) -> None:
    """Unless it was asked for the whole URL: then nobody can tell them apart."""
    async with serving(RecordingProxy(refusal=b"")) as url:
        options = ConnectionOptions(proxy=url)
        with pytest.raises(Disconnected):
            await transport.open(a_call("http://a.invalid", options=options))
        with pytest.raises(ConnectFailed):
            await transport.open(a_call("https://a.invalid", options=options))


@pytest.mark.parametrize(
    "refusal",
    [b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", b"", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"],
    ids=["407", "hangs up", "not HTTP"],
)
async def test_a_proxy_that_will_not_tunnel(transport: HttptoolsTransport, refusal: bytes) -> None:
    """There is no connection, whatever it does instead."""
    async with serving(RecordingProxy(refusal=refusal)) as url:
        with pytest.raises(ConnectFailed):
            call = a_call("https://a.invalid/", options=ConnectionOptions(proxy=url))
            await transport.open(call)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_not_there(transport: HttptoolsTransport, scheme: str) -> None:
    """It is no connection either."""
    options = ConnectionOptions(proxy=f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(ConnectFailed):
        await transport.open(a_call(f"{scheme}://a.invalid/", options=options))


# ---------------------------------------------------------------- the environment

TRUSTING = ConnectionOptions(trust_env=True)


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("with_scheme", [True, False])
async def test_the_environment_may_name_a_proxy(
    transport: HttptoolsTransport,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    with_scheme: bool,
) -> None:
    """As curl reads it, with or without `http://`; only where `trust_env` is set."""
    proxy = RecordingProxy()
    async with serving(proxy) as url:
        monkeypatch.setenv(variable, url if with_scheme else url.removeprefix("http://"))
        await fetch(transport, a_call("http://a.invalid/", options=TRUSTING))
        with pytest.raises(ConnectFailed):
            await transport.open(a_call("http://a.invalid/"))
    assert len(proxy.heads) == 1


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "*", "a.example,127.0.0.1"])
async def test_the_environment_may_except_a_host(
    transport: HttptoolsTransport,
    upstreams: Upstreams,
    monkeypatch: pytest.MonkeyPatch,
    no_proxy: str,
) -> None:
    """`no_proxy` names those that are called directly."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("no_proxy", no_proxy)
    await fetch(transport, a_call(upstreams.base_url + "/json", options=TRUSTING))
    assert upstreams.calls["/json"] == 1


async def test_a_proxy_of_ones_own_goes_before_the_environments(
    transport: HttptoolsTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is excepted there."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("no_proxy", "*")
    async with serving(RecordingProxy()) as url:
        options = ConnectionOptions(proxy=url, trust_env=True)
        _, body = await fetch(transport, a_call("http://a.invalid/", options=options))
    assert body == b"ok"


async def test_netrc_is_not_read(
    transport: HttptoolsTransport,
    upstreams: Upstreams,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Credentials come from the configuration alone."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    await fetch(transport, a_call(upstreams.base_url + "/json", options=TRUSTING))
    assert upstreams.requests[0].header("authorization") is None


async def test_a_kind_of_proxy_that_is_not_known(
    transport: HttptoolsTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told before there is a call, and no call goes past it."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(ConfigError) as caught:
        transport.check(TRUSTING)
    assert caught.value.path == "trust_env"
    with pytest.raises(ConfigError):
        await transport.open(a_call("http://a.invalid/", options=TRUSTING))
