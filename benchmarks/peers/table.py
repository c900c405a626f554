"""The peers, the workloads that each can do, and how each is started: one worker process each.

A peer that lacks a workload has no means for it: flask-sse and django-eventstream only broadcast,
nchan reads no upstream, and the Flask recipes learn only by a beat that a client has left, so that
they would hold the gone by the thousand in `churn`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.peers.nchan import nginx
from benchmarks.peers.servers import Command, aiohttp, gevent, gthread, hypercorn, node, uvicorn

THREADS = 11_000  # one for each stream; they are started as they are needed


def environment(port: int, upstream_url: str) -> dict[str, str]:
    return {"PORT": str(port), "UPSTREAM": upstream_url, "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One peer.

    Args:
        name: As it stands in tables.
        workloads: Out of fanout, flat, broadcast, idle, churn and bridge.
        packages: Those whose versions belong to its figures.
        command: From the port, the upstream's URL and a folder for files of its own, the command.
        env: From the port and the upstream's URL, what is added to the environment.
        publishes: Whether the client itself publishes, by POST to /publish, in place of /start.
        sends_head: Whether a subscription is answered at once, not only with the first event.
        services: Servers that it needs beside itself: "redis", whose URL is in $REDIS_URL.
    """

    name: str
    workloads: frozenset[str]
    packages: tuple[str, ...]
    command: Command
    env: Callable[[int, str], dict[str, str]] = environment
    publishes: bool = False
    sends_head: bool = True
    services: tuple[str, ...] = ()


FANOUT = frozenset({"fanout"})
STREAMS = frozenset({"flat", "broadcast", "idle", "churn"})
ON_UVICORN = ("uvicorn", "uvloop", "httptools")
ON_HYPERCORN = ("hypercorn", "uvloop", "h11")

PEERS = {
    "starlette-httpx": Peer(
        name="Starlette + httpx",
        workloads=FANOUT,
        packages=("starlette", "httpx", "httpcore", *ON_UVICORN),
        command=uvicorn("starlette_httpx:app"),
    ),
    "starlette-httpx-aiohttp": Peer(
        name="Starlette + httpx on aiohttp",
        workloads=FANOUT,
        packages=("starlette", "httpx", "httpx-aiohttp", "aiohttp", *ON_UVICORN),
        command=uvicorn("starlette_httpx_aiohttp:app"),
    ),
    "starlette-aiohttp": Peer(
        name="Starlette + aiohttp",
        workloads=FANOUT,
        packages=("starlette", "aiohttp", *ON_UVICORN),
        command=uvicorn("starlette_aiohttp:app"),
    ),
    "quart-httpx": Peer(
        name="Quart + httpx (hypercorn)",
        workloads=FANOUT,
        packages=("quart", "httpx", "httpcore", *ON_HYPERCORN),
        command=hypercorn("quart_httpx:app"),
    ),
    "quart-httpx-uvicorn": Peer(
        name="Quart + httpx (uvicorn)",
        workloads=FANOUT,
        packages=("quart", "httpx", "httpcore", *ON_UVICORN),
        command=uvicorn("quart_httpx:app"),
    ),
    "flask-asyncio-httpx": Peer(
        name="Flask, asyncio.run + httpx (gthread)",
        workloads=FANOUT,
        packages=("flask", "httpx", "httpcore", "gunicorn"),
        command=gthread("flask_asyncio_httpx:app", threads=64),
    ),
    "flask-asyncio-aiohttp": Peer(
        name="Flask, asyncio.run + aiohttp (gthread)",
        workloads=FANOUT,
        packages=("flask", "aiohttp", "gunicorn"),
        command=gthread("flask_asyncio_aiohttp:app", threads=64),
    ),
    "flask-pool-requests": Peer(
        name="Flask, thread pool + requests (gthread)",
        workloads=FANOUT,
        packages=("flask", "requests", "urllib3", "gunicorn"),
        command=gthread("flask_pool_requests:app", threads=64),
    ),
    "flask-gevent-requests": Peer(
        name="Flask, gevent + requests",
        workloads=FANOUT,
        packages=("flask", "requests", "urllib3", "gevent", "gunicorn"),
        command=gevent("flask_gevent_requests:app"),
    ),
    "sse-starlette": Peer(
        name="sse-starlette",
        workloads=STREAMS,
        packages=("sse-starlette", "starlette", "aiohttp", *ON_UVICORN),
        command=uvicorn("sse_starlette:app"),
    ),
    "fastapi": Peer(
        name="FastAPI's SSE",
        workloads=STREAMS,
        packages=("fastapi", "starlette", "pydantic", "aiohttp", *ON_UVICORN),
        command=uvicorn("fastapi_sse:app"),
    ),
    "aiohttp-sse": Peer(
        name="aiohttp-sse",
        workloads=STREAMS,
        packages=("aiohttp-sse", "aiohttp", "uvloop"),
        command=aiohttp("aiohttp_sse"),
    ),
    "quart-recipe": Peer(
        name="Quart recipe (hypercorn)",
        workloads=STREAMS,
        packages=("quart", "aiohttp", *ON_HYPERCORN),
        command=hypercorn("quart_recipe:app"),
    ),
    "quart-recipe-uvicorn": Peer(
        name="Quart recipe (uvicorn)",
        workloads=STREAMS,
        packages=("quart", "aiohttp", *ON_UVICORN),
        command=uvicorn("quart_recipe:app"),
    ),
    "bare-quart": Peer(
        name="bare Quart (uvicorn)",
        workloads=frozenset({"idle"}),
        packages=("quart", *ON_UVICORN),
        command=uvicorn("bare_quart:app"),
    ),
    "flask-recipe": Peer(
        name="Flask recipe (gthread)",
        workloads=frozenset({"flat", "broadcast", "idle", "bridge"}),
        packages=("flask", "requests", "gunicorn"),
        command=gthread("flask_recipe:app", threads=THREADS),
    ),
    "flask-recipe-gevent": Peer(
        name="Flask recipe (gevent)",
        workloads=frozenset({"flat", "broadcast", "idle"}),
        packages=("flask", "requests", "gevent", "gunicorn"),
        command=gevent("flask_recipe:app"),
    ),
    "flask-sse": Peer(
        name="flask-sse with Redis (gevent)",
        workloads=frozenset({"broadcast"}),
        packages=("flask-sse", "flask", "redis", "hiredis", "gevent", "gunicorn", "redis-server"),
        command=gevent("flask_sse:app"),
        sends_head=False,
        services=("redis",),
    ),
    "django-eventstream": Peer(
        name="django-eventstream",
        workloads=frozenset({"broadcast", "idle", "churn"}),
        packages=("django-eventstream", "django", "aiohttp", *ON_UVICORN),
        command=uvicorn("django_eventstream:application"),
    ),
    "better-sse": Peer(
        name="better-sse (Node)",
        workloads=STREAMS,
        packages=("better-sse", "undici", "node"),
        command=node("better_sse.mjs"),
    ),
    "nchan": Peer(
        name="nchan (nginx)",
        workloads=frozenset({"broadcast", "idle", "churn"}),
        packages=("libnginx-mod-nchan", "nginx"),
        command=nginx,
        publishes=True,
    ),
}
