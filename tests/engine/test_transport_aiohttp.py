"""What is the default transport's own: exact fields, TLS, proxies, the environment, no cookies.

What it shares with the other stands in `test_transport`.
"""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from streaming.core.call import ConnectionOptions
from streaming.core.errors import ConfigError
from streaming.core.errors_upstream import ConnectFailed, Disconnected, TimedOut
from streaming.engine.transport_aiohttp import AiohttpTransport
from tests.scripted_upstream import OK, a_call, fetch, opened, say, serving
from tests.upstreams import Upstreams, closed_port

ANSWER = OK + b"Content-Length: 2\r\n\r\nok"


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    async with aclosing(AiohttpTransport()) as transport:
        yield transport


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    async with Upstreams() as upstreams:
        yield upstreams


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_no_field_is_added(
    transport: AiohttpTransport, upstreams: Upstreams, method: str
) -> None:
    """Beside the call's own there are Host and, where the method has one, the body's length."""
    fields = (("x-lower", "1"), ("X-Upper", "2"))
    await fetch(transport, a_call(upstreams.base_url + "/echo", method=method, headers=fields))
    length = [("Content-Length", "0")] if method == "DELETE" else []
    host = ("Host", f"127.0.0.1:{upstreams.port}")
    assert upstreams.requests[0].headers == [host, *fields, *length]


async def test_no_content_type_is_added(transport: AiohttpTransport, upstreams: Upstreams) -> None:
    """Nor is the one of the call replaced."""
    url = upstreams.base_url + "/echo"
    await fetch(transport, a_call(url, method="POST", body=b"x"))
    await fetch(
        transport, a_call(url, method="POST", body=b"x", headers=(("Content-Type", "a/b"),))
    )
    assert [each.header("content-type") for each in upstreams.requests] == [None, "a/b"]


async def test_the_host_may_be_the_calls_own(
    transport: AiohttpTransport, upstreams: Upstreams
) -> None:
    """A configured Host takes the place of the URL's."""
    await fetch(transport, a_call(upstreams.base_url + "/echo", headers=(("Host", "a.example"),)))
    assert upstreams.requests[0].headers == [("Host", "a.example")]


async def test_a_target_that_other_clients_repair(
    transport: AiohttpTransport, upstreams: Upstreams
) -> None:
    """Dot segments and bare characters stay too."""
    target = '/echo/../a/./b|c^{}"<>`?q={"a":\'b\'}'
    await fetch(transport, a_call(upstreams.base_url + target))
    assert upstreams.requests[0].target == target


async def test_no_cookie_comes_back(transport: AiohttpTransport, upstreams: Upstreams) -> None:
    """What one call is told to remember, another never sends."""
    url = upstreams.base_url.replace("127.0.0.1", "localhost")  # no jar takes them for an address
    await fetch(transport, a_call(url + "/set-cookie"))
    await fetch(transport, a_call(url + "/json"))
    assert upstreams.requests[1].header("cookie") is None


async def test_connections_are_not_limited(
    transport: AiohttpTransport, upstreams: Upstreams
) -> None:
    """More than aiohttp's usual 100 are open at once; the caller holds the bound."""
    call = a_call(upstreams.base_url + "/never")
    opening = [asyncio.create_task(transport.open(call)) for _ in range(120)]
    await upstreams.wait_calls("/never", 120)
    for task in opening:
        task.cancel()
    await upstreams.wait_closed_by_peer("/never", 120, timeout=2)


async def test_closing_ends_a_body_that_is_being_read(upstreams: Upstreams) -> None:
    """A reader that waits is told, and the upstream sees the connection closed."""
    transport = AiohttpTransport()
    async with opened(transport, a_call(upstreams.base_url + "/head-then-stall")) as response:
        reading = asyncio.create_task(response.read())
        await asyncio.sleep(0.05)
        await transport.aclose()
        with pytest.raises(Disconnected):
            await asyncio.wait_for(reading, 1)
    await upstreams.wait_closed_by_peer("/head-then-stall", timeout=1)


async def test_a_kept_connection_closed_at_the_next_call(transport: AiohttpTransport) -> None:
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


# --------------------------------------------------------------------------- TLS


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1, signed by itself, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the command openssl makes the certificate, and is not installed")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=tests"
    extensions = ["subjectAltName=IP:127.0.0.1", "keyUsage=critical,digitalSignature,keyCertSign"]
    options = [word for extension in extensions for word in ("-addext", extension)]
    command = [openssl, "req", "-x509", *curve.split(), *options, "-keyout", key, "-out", cert]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "both.pem").write_bytes(key.read_bytes() + cert.read_bytes())
    return folder / "both.pem"


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def test_an_unknown_certificate_is_refused(
    transport: AiohttpTransport, tls: ssl.SSLContext
) -> None:
    """Nobody whom this machine trusts has signed it."""
    async with serving(say(ANSWER), tls=tls) as url:
        with pytest.raises(ConnectFailed):
            await transport.open(a_call(url))


async def test_a_certificate_may_be_trusted_by_file(
    transport: AiohttpTransport, tls: ssl.SSLContext, certificate: Path
) -> None:
    """`ca_file` names whom to trust."""
    options = ConnectionOptions(ca_file=str(certificate))
    async with serving(say(ANSWER), tls=tls) as url:
        _, body = await fetch(transport, a_call(url, options=options))
    assert body == b"ok"


async def test_a_trusted_certificate_for_another_host_is_refused(
    transport: AiohttpTransport, tls: ssl.SSLContext, certificate: Path
) -> None:
    """The name is compared too."""
    options = ConnectionOptions(ca_file=str(certificate))
    async with serving(say(ANSWER), tls=tls) as url:
        with pytest.raises(ConnectFailed):
            await transport.open(a_call(url.replace("127.0.0.1", "localhost"), options=options))


async def test_certificates_may_go_unchecked(
    transport: AiohttpTransport, tls: ssl.SSLContext
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


async def test_what_is_no_tls_is_refused(transport: AiohttpTransport) -> None:
    """https to a port that speaks another protocol."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")

    async with serving(greet) as url:
        with pytest.raises(ConnectFailed):
            await transport.open(a_call(url.replace("http:", "https:")))


async def test_the_time_to_connect_covers_tls(transport: AiohttpTransport) -> None:
    """A port that takes the connection and says nothing."""

    async def be_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with serving(be_silent) as url:
        with pytest.raises(TimedOut) as caught:
            await transport.open(a_call(url.replace("http:", "https:"), connect_timeout=0.25))
    assert caught.value.waiting_for == "connection"


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
async def test_a_bad_ca_file_is_a_mistake_in_the_configuration(
    transport: AiohttpTransport, tmp_path: Path, content: bytes | None
) -> None:
    """Missing, empty or something else: told by `check`, before there is a call."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        transport.check(ConnectionOptions(ca_file=str(file)))
    assert caught.value.path == "ca_file"


# ------------------------------------------------------------------------ proxies


class RecordingProxy:
    """Answers what it is asked for itself, tunnels where it is asked to CONNECT, and notes both."""

    def __init__(self, *, refusal: bytes | None = None) -> None:
        self.heads: list[str] = []
        self._refusal = refusal

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        method, target, _ = head.split(" ", 2)
        if self._refusal is not None:
            writer.write(self._refusal)
        elif method == "CONNECT":
            await self._tunnel(target, reader, writer)
        else:
            writer.write(ANSWER)

    async def _tunnel(
        self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host, _, port = target.rpartition(":")
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        writer.write(OK + b"\r\n")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pipe(reader, there_writer))
                group.create_task(_pipe(there_reader, writer))
        finally:
            there_writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def test_a_proxy_is_asked_for_the_whole_url(transport: AiohttpTransport) -> None:
    """Exactly as it stands, and with the proxy's own credentials."""
    proxy = RecordingProxy()
    async with serving(proxy) as url:
        options = ConnectionOptions(proxy=url.replace("//", "//me:secret@"))
        await fetch(transport, a_call("http://a.invalid/%2F?q=%20", options=options))
    assert proxy.heads[0].startswith("GET http://a.invalid/%2F?q=%20 HTTP/1.1\r\n")
    assert "\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n" in proxy.heads[0]


async def test_a_proxy_tunnels_tls(
    transport: AiohttpTransport, tls: ssl.SSLContext, certificate: Path
) -> None:
    """The upstream's certificate is checked through it, and it sees no request."""
    proxy = RecordingProxy()
    async with serving(proxy) as proxy_url, serving(say(ANSWER), tls=tls) as url:
        options = ConnectionOptions(proxy=proxy_url, ca_file=str(certificate))
        _, body = await fetch(transport, a_call(url + "/secret", options=options))
    assert body == b"ok"
    assert [head.partition(" ")[0] for head in proxy.heads] == ["CONNECT"]


@pytest.mark.parametrize(
    "refusal",
    [b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", b"", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"],
    ids=["407", "hangs up", "not HTTP"],
)
async def test_a_proxy_that_will_not_tunnel(transport: AiohttpTransport, refusal: bytes) -> None:
    """There is no connection, whatever it does instead."""
    async with serving(RecordingProxy(refusal=refusal)) as url:
        with pytest.raises(ConnectFailed):
            call = a_call("https://a.invalid/", options=ConnectionOptions(proxy=url))
            await transport.open(call)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_not_there(transport: AiohttpTransport, scheme: str) -> None:
    """It is no connection either."""
    options = ConnectionOptions(proxy=f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(ConnectFailed):
        await transport.open(a_call(f"{scheme}://a.invalid/", options=options))


# ---------------------------------------------------------------- the environment

TRUSTING = ConnectionOptions(trust_env=True)


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("with_scheme", [True, False])
async def test_the_environment_may_name_a_proxy(
    transport: AiohttpTransport,
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
    transport: AiohttpTransport,
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
    transport: AiohttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is excepted there."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("no_proxy", "*")
    async with serving(RecordingProxy()) as url:
        options = ConnectionOptions(proxy=url, trust_env=True)
        _, body = await fetch(transport, a_call("http://a.invalid/", options=options))
    assert body == b"ok"


async def test_netrc_is_not_read(
    transport: AiohttpTransport,
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
    transport: AiohttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told before there is a call, and no call goes past it."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(ConfigError) as caught:
        transport.check(TRUSTING)
    assert caught.value.path == "trust_env"
    with pytest.raises(ConfigError):
        await transport.open(a_call("http://a.invalid/", options=TRUSTING))
