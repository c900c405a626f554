"""Whether a Redis will do for a log: it is there, and evicts nothing."""

import os
import socket

from redis.asyncio.cluster import RedisCluster
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import AuthenticationError, RedisClusterException
from redis.exceptions import TimeoutError as RedisTimeoutError

from streaming.core.errors import ConfigError
from streaming.engine.redis_client import FAULTS, Client, close_client, describe_url, make_client

NO_EVICTION = "noeviction"


class EvictingRedis(ConfigError):
    """It is there, and will not do."""


async def check_redis(url: str) -> None:
    """Connect to the Redis of `[log] url`, and look whether it will do.

    Raises:
        ConfigError: The URL cannot be read, nobody answers, or keys are evicted when it is full.
    """
    try:
        client = make_client(url, name="fanstream-check")
    except ValueError as exc:
        raise ConfigError("log.url", f"cannot be read: {exc}") from exc
    try:
        try:
            policy = await _read_policy(client)
        finally:
            # Over TLS a Redis that is frozen by now answers no more to this either.
            await close_client(client)
    except FAULTS as exc:
        raise ConfigError("log.url", f"{describe_url(url)} {_describe(exc)}") from exc
    except TypeError as exc:
        # What redis-py's connections do not take they refuse only when they are made.
        raise ConfigError("log.url", "cannot be read: its query has an unknown option") from exc
    if policy != NO_EVICTION:
        raise EvictingRedis(
            "log.url",
            f"{describe_url(url)} has maxmemory-policy {policy}, which drops events unasked;"
            f" it has to be {NO_EVICTION}",
        )


async def _read_policy(client: Client) -> str:
    """Return what is done when the memory is full, by the nodes that do not keep all."""
    if isinstance(client, RedisCluster):
        nodes = await client.info("memory", target_nodes=RedisCluster.PRIMARIES)
        infos = list(nodes.values()) if "maxmemory_policy" not in nodes else [nodes]
    else:
        infos = [await client.info("memory")]
    policies = [str(info["maxmemory_policy"]) for info in infos]
    return next((policy for policy in policies if policy != NO_EVICTION), NO_EVICTION)


def _describe(exc: BaseException) -> str:
    """Say what went wrong, without what the error says: that may hold what stands in the URL."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, AuthenticationError):
            return "does not accept this user and password"
        if isinstance(cause, socket.gaierror):
            return "cannot be reached: there is no such host"
        if isinstance(cause, OSError) and cause.errno:
            return f"cannot be reached: {os.strerror(cause.errno)}"
        if isinstance(cause, TimeoutError | RedisTimeoutError):
            return "does not answer in time, or not with what the URL says (TLS or none)"
        cause = cause.__cause__ or cause.__context__
    if isinstance(exc, MasterNotFoundError):
        return "knows no such service, or no Sentinel of it can be reached"
    if isinstance(exc, RedisClusterException):
        return "is no cluster, or none of its nodes can be reached"
    kind = type(exc).__name__
    return f"refuses what it is asked ({kind}): has it such a database, and is it no Sentinel?"
