"""Clients from the URLs of `[log]`: each kind of them on a real server, and what cannot be read."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis, RedisError
from redis.asyncio import RedisCluster

from streaming.engine.redis_client import FAULTS, Client, close_client, describe_url, make_client
from tests.fan_out import PATIENCE, until, until_in_thread
from tests.programs import find_program
from tests.redis_server import RedisServer, redis_serving
from tests.serving import LOOPBACK, free_port


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[Client]:
    """A client, closed at the end of the block."""
    client = make_client(url, name="fanstream-test")
    try:
        async with asyncio.timeout(PATIENCE):
            yield client
    finally:
        await close_client(client)


async def test_a_client_has_one_connection(redis: RedisServer) -> None:
    """Opened when it is needed, known by its name, and closed with it."""
    async with client_of(redis.url) as client:
        assert redis.client_names() == []
        assert await client.ping()
        assert await client.set("k", "v")
        assert redis.client_names() == ["fanstream-test"]
    await until(lambda: not redis.client_names())


async def test_events_come_as_they_are(redis: RedisServer) -> None:
    """Lists of bytes, in the order in which they were appended."""
    redis.cli("XADD", "s", "1-0", "e", "start", "d", "{}")
    async with client_of(redis.url) as client:
        reply = await client.execute_command("XRANGE", "s", "-", "+")
        assert reply == [[b"1-0", [b"e", b"start", b"d", b"{}"]]]


async def test_a_database_and_a_password_are_used(tmp_path: Path) -> None:
    """As the URL says, with what has to be escaped in it."""
    with redis_serving(tmp_path, options=()) as redis:
        redis.cli("ACL", "SETUSER", "ann", "on", ">p@ss/word", "~*", "+@all")
        async with client_of(f"redis://ann:p%40ss%2Fword@{LOOPBACK}:{redis.port}/3") as client:
            await client.set("k", "v")
            assert await client.execute_command("ACL", "WHOAMI") in {b"ann", "ann"}
        assert redis.cli("INFO", "keyspace").keys() == {"db3"}


@pytest.fixture
def tls_redis(tmp_path: Path, certificate: Path) -> Iterator[tuple[RedisServer, int]]:
    """A Redis, and the port on which it speaks TLS."""
    port = free_port()
    files = ("--tls-cert-file", "--tls-key-file", "--tls-ca-cert-file")
    options = [str(word) for file in files for word in (file, certificate)]
    options += ["--tls-port", str(port), "--tls-auth-clients", "no"]
    with redis_serving(tmp_path, options=options) as redis:
        yield redis, port


async def test_tls_is_spoken(tls_redis: tuple[RedisServer, int], certificate: Path) -> None:
    """With a server whose certificate is known, and no other."""
    redis, port = tls_redis
    url = f"rediss://{LOOPBACK}:{port}/0"
    async with client_of(f"{url}?ssl_ca_certs={certificate}") as client:
        assert await client.set("k", "v")
    assert redis.cli("GET", "k") == "v"
    async with client_of(url) as client:
        with pytest.raises(FAULTS):
            await client.get("k")


async def test_a_cluster_is_asked_node_by_node(lasting_cluster: RedisServer) -> None:
    """It is found by any of its hosts."""
    lasting_cluster.cli("FLUSHALL")
    hosts = f"{LOOPBACK}:{free_port()},{LOOPBACK}:{lasting_cluster.port}"
    async with client_of(f"redis+cluster://{hosts}") as client:
        for n in range(20):
            await client.set(f"k{n}", n)
    assert lasting_cluster.cli("DBSIZE") == 20


@contextmanager
def sentinel_of(master: RedisServer, folder: Path) -> Iterator[int]:
    """A sentinel that watches a Redis by the name `mymaster`; its port."""
    port = free_port()
    conf = folder / "sentinel.conf"
    lines = [f"port {port}", f"bind {LOOPBACK}", f"dir {folder}"]
    lines += [f"sentinel monitor mymaster {LOOPBACK} {master.port} 1"]
    conf.write_text("\n".join(lines) + "\n")
    command = [find_program("redis-server"), str(conf), "--sentinel"]
    with (folder / "sentinel.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, process_group=0)
    try:
        until_in_thread(lambda: _knows_master(port))
        yield port
    finally:
        process.kill()
        process.wait()


def _knows_master(port: int) -> bool:
    try:
        with Redis(host=LOOPBACK, port=port, socket_timeout=PATIENCE) as client:
            found: Any = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")
            return bool(found)
    except RedisError:
        return False


async def test_the_master_is_found_by_sentinel(redis: RedisServer, tmp_path: Path) -> None:
    """By the first of its hosts that answers."""
    with sentinel_of(redis, tmp_path) as port:
        hosts = f"{LOOPBACK}:{free_port()},{LOOPBACK}:{port}"
        async with client_of(f"redis+sentinel://{hosts}/mymaster/2") as client:
            assert await client.set("k", "v")
        assert redis.cli("INFO", "keyspace").keys() == {"db2"}
        async with client_of(f"redis+sentinel://{hosts}/another") as client:
            with pytest.raises(FAULTS):
                await client.get("k")


@pytest.fixture(params=["single", "sentinel", "cluster"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of each kind of Redis."""
    if request.param == "cluster":
        cluster: RedisServer = request.getfixturevalue("lasting_cluster")
        yield cluster.url.replace("redis:", "redis+cluster:")
        return
    redis: RedisServer = request.getfixturevalue("redis")
    if request.param == "single":
        yield redis.url
        return
    with sentinel_of(redis, tmp_path) as port:
        yield f"redis+sentinel://{LOOPBACK}:{port}/mymaster"


def connections_of(client: Client) -> list[Any]:
    """Those that a client has made, also to ask where it is to connect."""
    if isinstance(client, RedisCluster):
        nodes = [*client.startup_nodes, *client.get_nodes()]
        return [connection for node in nodes for connection in node._connections]
    pool: Any = client.connection_pool
    manager = getattr(pool, "sentinel_manager", None)
    asked = [sentinel.connection_pool for sentinel in manager.sentinels] if manager else []
    return [connection for each in (pool, *asked) for connection in each._available_connections]


async def test_what_is_sent_over_a_lost_connection_is_a_fault(any_url: str) -> None:
    """Of Redis, whatever the loop: its own error would be taken for one of this side."""
    async with client_of(any_url) as client:
        await client.ping()
        connections = [each for each in connections_of(client) if each.is_connected]
        assert len(connections) == (1 if any_url.startswith("redis:") else 2)
        for connection in connections:
            connection._writer.transport.abort()
            await connection._writer.wait_closed()
            with pytest.raises(RedisError):
                await connection.send_command("PING")
        assert await client.ping()


@pytest.mark.parametrize(
    "url",
    [
        "redis://host:port/0",
        "redis://host:99999/0",
        "redis://[::1/0",
        "redis+sentinel://host",
        "redis+sentinel:///service",
        "redis+sentinel://host:port/service",
        "redis+sentinel://host/service/db",
        "redis+cluster://",
        "redis+cluster://one,,two",
        "redis://host?socket_timeout=soon",
    ],
)
async def test_a_url_that_cannot_be_read_is_refused(url: str) -> None:
    """At once, before anything is connected to."""
    with pytest.raises(ValueError):  # noqa: PT011 - what it says is for people
        make_client(url, name="fanstream-test")


@pytest.mark.parametrize(
    ("url", "description"),
    [
        ("redis://host:1/2", "redis://host:1/2"),
        ("rediss://ann:secret@host?ssl_keyfile=secret", "rediss://host"),
        ("redis+sentinel://:secret@a:1,b:2/service/3", "redis+sentinel://a:1,b:2/service/3"),
        ("redis://ann:sec@ret@host/0", "redis://host/0"),
    ],
)
def test_a_url_is_described_without_secrets(url: str, description: str) -> None:
    """Neither user nor password, nor what its query says."""
    assert describe_url(url) == description
