"""Clients of Redis, from the URL of `[log]`: one server, one found by Sentinel, or a cluster.

    redis://[user:password@]host[:port][/db]          rediss:// over TLS
    redis+sentinel://[user:password@]host[:port][,host[:port]...]/service[/db]
    redis+cluster://[user:password@]host[:port][,host[:port]...]

`rediss` in place of `redis` is TLS each time. The options of a query are redis-py's, such as
`?ssl_ca_certs=`.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis, Sentinel
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError

CONNECT_TIMEOUT = 2.0
"""Seconds in which a connection has to be there."""

REPLY_TIMEOUT = 5.0
"""Seconds without a byte after which a Redis that owes a reply is given up, and asked anew."""

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379


FAULTS = (RedisError, RedisClusterException, OSError, TimeoutError)
"""What a client raises where Redis is not reached, or refuses."""

Client = Redis | RedisCluster


class _Connection(AbstractConnection):
    """A connection, of any kind of redis-py's, whose end is an error of Redis on each loop."""

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        """Send what redis-py has packed.

        Raises:
            RedisError: It is not sent.
        """
        try:
            await super().send_packed_command(*args, **kwargs)
        except RuntimeError as exc:
            # A transport of uvloop refuses so what is written once it is closed, where asyncio's
            # raises the OSError that redis-py expects. Nothing of ours is called in here.
            raise RedisConnectionError("the connection is closed") from exc


def make_client(url: str, *, name: str, timeout: float | None = REPLY_TIMEOUT) -> Client:
    """Make a client with one connection, in a cluster one to each node, opened when it is needed.

    Args:
        url: As above.
        name: What `CLIENT LIST` shows for its connection.
        timeout: Seconds that one reading or writing may take; None where who asks sees to that. In
            a cluster it is always bounded.

    Raises:
        ValueError: The URL cannot be read, or has an option that there is not.
    """
    options: dict[str, Any] = {
        "client_name": name,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": REPLY_TIMEOUT,
        "socket_keepalive": True,
        "protocol": 2,
    }
    parts = urlsplit(url)
    if "@" in parts.path + parts.query + parts.fragment:
        raise ValueError("in a user or password / ? # and @ are written as %2F %3F %23 and %40")
    scheme, _, rest = url.partition("://")
    tls_or_not, _, kind = scheme.partition("+")
    client: Client
    if kind == "cluster":
        client = _find_cluster(f"{tls_or_not}://{rest}", **options)
    else:
        options["max_connections"] = 1
        options["socket_timeout"] = timeout
        # What is tried again, and when, is decided by who asks.
        options["retry"] = Retry(NoBackoff(), 0)
        client = (_find_by_sentinel if kind else Redis.from_url)(url, **options)
    # As they come: made into dicts, thousands of events would cost more than all the rest.
    client.set_response_callback("XRANGE", _leave)
    _tell_ends(client)
    return client


async def close_client(client: Client) -> None:
    """Close a client's connections, those to the sentinels that it asks too."""
    await client.aclose()
    if isinstance(client, Redis):
        for sentinel in _sentinels(client):
            await sentinel.aclose()


def describe_url(url: str) -> str:
    """Return the URL without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _sentinels(client: Redis) -> list[Redis]:
    pool = client.connection_pool
    return pool.sentinel_manager.sentinels if isinstance(pool, SentinelConnectionPool) else []


def _tell_ends(client: Client) -> None:
    """Have all connections that a client will make be a `_Connection` each."""
    if isinstance(client, RedisCluster):
        # Of the nodes that it finds, and of those that it asks for them.
        options = client.connection_kwargs
        options["connection_class"] = _telling(options["connection_class"])
        for node in client.startup_nodes:
            node.connection_class = options["connection_class"]
        return
    for each in (client, *_sentinels(client)):
        pool = each.connection_pool
        pool.connection_class = _telling(pool.connection_class)


def _telling(kind: type[AbstractConnection]) -> type[Any]:
    return type(kind.__name__, (_Connection, kind), {})


def _find_cluster(url: str, **options: Any) -> RedisCluster:
    parts = urlsplit(url)
    credentials, at, hosts = parts.netloc.rpartition("@")
    nodes = [ClusterNode(host, port) for host, port in _hosts(hosts, default_port=DEFAULT_PORT)]
    named = dict(parse_url(f"{parts.scheme}://{credentials}{at}node?{parts.query}"))
    for key in ("host", "port", "connection_class"):
        named.pop(key, None)
    return RedisCluster(startup_nodes=nodes, ssl=parts.scheme == "rediss", **{**options, **named})


def _find_by_sentinel(url: str, **options: Any) -> Redis:
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    service, _, db = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("a URL for Sentinel names a service: redis+sentinel://host/service")
    user, _, password = credentials.partition(":")
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        list(_hosts(hosts, default_port=SENTINEL_PORT)),
        # One that is not there is passed over at once: the next is asked.
        sentinel_kwargs={
            "socket_connect_timeout": CONNECT_TIMEOUT,
            "socket_timeout": CONNECT_TIMEOUT,
            "retry": Retry(NoBackoff(), 0),
        },
    )
    named = dict(parse_url(f"redis://?{parts.query}"))
    client: Redis = sentinel.master_for(
        service,
        ssl=parts.scheme.startswith("rediss"),
        db=int(db or 0),
        username=unquote(user) or None,
        password=unquote(password) or None,
        **{**options, **named},
    )
    return client


def _hosts(text: str, *, default_port: int) -> Iterator[tuple[str, int]]:
    for host in text.split(","):
        parts = urlsplit(f"//{host}")
        if not parts.hostname:
            raise ValueError("the URL names no host, or a part of its list is none")
        yield parts.hostname, parts.port or default_port


def _leave(response: Any, **options: Any) -> Any:
    return response
