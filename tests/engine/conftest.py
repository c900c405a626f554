"""What most tests of the engine start with: upstreams, and what carries the calls to them."""

import asyncio
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from streaming.engine.loop import make_loop
from streaming.engine.redis_link import RedisLink
from streaming.engine.runs_memory import MemoryRuns
from streaming.engine.transport import Transport
from streaming.engine.transport_httptools import HttptoolsTransport
from streaming.engine.transport_httpx import HttpxTransport
from streaming.engine.upstream_call import Outgoing
from tests.fan_out import outgoing as carrying
from tests.fan_out import running
from tests.log_battery import RedisLogs
from tests.redis_links import linked
from tests.redis_processes import Processes, log_url
from tests.redis_server import RedisServer, redis_serving
from tests.upstreams import Upstreams

# What speaks to sockets by itself meets two loops: the engine's own, and whatever serves Quart.
ON_BOTH_LOOPS = (
    *("test_http_", "test_transport.py", "test_transport_httptools.py"),
    *("test_redis_check.py", "test_redis_client.py", "test_redis_link.py", "test_redis_process.py"),
)


def pytest_asyncio_loop_factories(
    item: pytest.Function,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Say on which loops a test runs; asyncio's alone, where nothing depends on it."""
    loops = {"asyncio": asyncio.new_event_loop}
    if item.path.name.startswith(ON_BOTH_LOOPS):
        loops["uvloop"] = make_loop
    return loops


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    async with Upstreams() as upstreams:
        yield upstreams


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    async with carrying() as outgoing:
        yield outgoing


@pytest.fixture
async def runs() -> AsyncIterator[MemoryRuns]:
    async with running() as runs:
        yield runs


@pytest.fixture(params=["httptools", "httpx"])
async def either_transport(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    """The default transport, then a user's `httpx.AsyncClient`."""
    if request.param == "httptools":
        transport = HttptoolsTransport()
        yield transport
        await transport.aclose()
        return
    async with httpx.AsyncClient() as client:
        yield HttpxTransport(client)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1, signed by itself, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None and not os.environ.get("CI"):
        pytest.skip("the command openssl makes the certificate, and is not installed")
    assert openssl is not None
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


@pytest.fixture(scope="session")
def lasting_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The one of all tests that leave it alive and as it was configured."""
    with redis_serving(tmp_path_factory.mktemp("redis"), options=()) as server:
        yield server


@pytest.fixture
def redis(lasting_redis: RedisServer) -> RedisServer:
    """A Redis with nothing in it, which the test must not end."""
    lasting_redis.cli("FLUSHALL")
    return lasting_redis


@pytest.fixture(scope="session")
def lasting_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A cluster of one node, likewise."""
    folder = tmp_path_factory.mktemp("cluster")
    with redis_serving(folder, options=(), is_cluster=True) as server:
        yield server


@pytest.fixture(params=["single", "cluster"])
def any_redis(request: pytest.FixtureRequest) -> RedisServer:
    """Each kind of Redis, with nothing in it, which the test must not end."""
    name = "lasting_redis" if request.param == "single" else "lasting_cluster"
    server: RedisServer = request.getfixturevalue(name)
    server.cli("FLUSHALL")
    return server


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, to be killed, frozen and filled; what it accepted it keeps."""
    with redis_serving(tmp_path) as server:
        yield server


@pytest.fixture
async def link(redis: RedisServer) -> AsyncIterator[RedisLink]:
    async with linked(redis.url) as link:
        yield link


@pytest.fixture
async def redis_logs(link: RedisLink) -> RedisLogs:
    return RedisLogs(link)


@pytest.fixture
async def processes(any_redis: RedisServer, outgoing: Outgoing) -> AsyncIterator[Processes]:
    """Processes that share a Redis of each kind."""
    processes = Processes(log_url(any_redis), outgoing=outgoing)
    yield processes
    await processes.aclose()


@pytest.fixture
def key() -> str:
    """Of a gate of the upstreams, which nobody has opened."""
    return os.urandom(8).hex()
