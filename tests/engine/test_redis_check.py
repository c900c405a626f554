"""What a start says of a Redis that will not do, and that it says no secret."""

from pathlib import Path

import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError

from streaming.core.errors import ConfigError
from streaming.engine import redis_check
from streaming.engine.redis_check import check_redis
from streaming.engine.redis_client import Client, close_client
from tests.fan_out import until
from tests.redis_server import RedisServer
from tests.serving import LOOPBACK, free_port


async def refusal(url: str) -> str:
    """What is said of a URL."""
    with pytest.raises(ConfigError) as refused:
        await check_redis(url)
    assert str(refused.value).startswith("log.url: ")
    return str(refused.value).removeprefix("log.url: ")


async def test_a_redis_that_will_do_is_left_alone(redis: RedisServer) -> None:
    """Nothing is written, and no connection stays."""
    await check_redis(redis.url)
    assert redis.cli("DBSIZE") == 0
    await until(lambda: not redis.client_names())


async def test_a_cluster_that_will_do(lasting_cluster: RedisServer) -> None:
    """By its own URL."""
    await check_redis(lasting_cluster.url.replace("redis:", "redis+cluster:"))


async def test_where_nobody_answers() -> None:
    """The address is named, and why it cannot be reached, without the password."""
    port = free_port()
    said = await refusal(f"redis://ann:secret@{LOOPBACK}:{port}/0")
    assert said == f"redis://{LOOPBACK}:{port}/0 cannot be reached: Connection refused"


async def test_a_password_that_is_wrong(own_redis: RedisServer) -> None:
    """Which is said, and not what it is."""
    said = await refusal(f"redis://ann:secret@{LOOPBACK}:{own_redis.port}/0")
    assert said == f"{own_redis.url} does not accept this user and password"


async def test_a_redis_that_falls_silent_at_the_end(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not reached where its connection cannot be closed in order, as over TLS."""

    async def close_in_vain(client: Client) -> None:
        await close_client(client)
        raise RedisTimeoutError

    monkeypatch.setattr(redis_check, "close_client", close_in_vain)
    said = await refusal(redis.url)
    assert said.startswith(f"{redis.url} does not answer in time")


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_redis_that_evicts(own_redis: RedisServer, policy: str) -> None:
    """It would drop events unasked: the policy is named, and what it has to be."""
    own_redis.cli("CONFIG", "SET", "maxmemory-policy", policy)
    said = await refusal(own_redis.url)
    assert f"{own_redis.url} has maxmemory-policy {policy}" in said
    assert said.endswith("noeviction")


async def test_a_cluster_that_evicts(lasting_cluster: RedisServer) -> None:
    """Likewise."""
    lasting_cluster.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        said = await refusal(lasting_cluster.url.replace("redis:", "redis+cluster:"))
    finally:
        lasting_cluster.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert "has maxmemory-policy allkeys-lru" in said


@pytest.mark.parametrize(
    "url",
    [
        "redis://:se/cret@host/0",
        "redis://ann:se#cret@host/0",
        "redis://ann:se?cret@host/0",
        f"redis://:1/cret@{LOOPBACK}/0",
        "redis+sentinel://:se/cret@host/service",
        "redis+cluster://:se/cret@host",
    ],
)
async def test_a_password_that_is_not_escaped_is_not_said(url: str) -> None:
    """However it makes the URL be misread: neither what is before the character nor behind."""
    said = await refusal(url)
    assert "cret" not in said
    assert "'se" not in said


async def test_an_option_that_there_is_not(redis: RedisServer, tmp_path: Path) -> None:
    """It is refused, and not said: it may be a password that went astray."""
    said = await refusal(f"{redis.url}?secret=1")
    assert said.startswith("cannot be read: ")
    assert "secret" not in said
