"""What one upstream call costs this process, by the client that makes it.

    python -m benchmarks.transport

Microseconds of CPU, user and system, of the process that calls; the upstream answers at once from
another process, on another core where there are several. Each client takes its turn in each of five
rounds, with fresh connections and a warm-up; the table has the medians. httpx-aiohttp and uvloop
are used where they are installed. It makes at most 2,000 calls and takes at most 4 s for one
client in one round, about 100 s in all.
"""

import asyncio
import importlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from types import ModuleType
from typing import cast

import aiohttp
import httpx

from benchmarks.versions import versions
from streaming.core.call import Call, ConnectionOptions
from streaming.engine.transport import Transport
from streaming.engine.transport_httptools import HttptoolsTransport
from streaming.engine.transport_httpx import HttpxTransport


def optional(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


httpx_aiohttp = optional("httpx_aiohttp")
run = (optional("uvloop") or asyncio).run

ROUNDS = 5
CALLS = 2000
MAX_SECONDS = 2.0
IN_FLIGHT = (10, 100)
OURS = "HttptoolsTransport (the default)"
PACKAGES = ("httptools", "aiohttp", "httpx", "httpcore", "httpx-aiohttp", "uvloop")

HEADERS = (("Accept", "*/*"), ("Accept-Encoding", "gzip, deflate"), ("User-Agent", "fanstream"))
BODY = b'{"city": "Paris", "temperature": 21.5, "text": "%b"}' % (b"x" * 150)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: stub\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)

CallOnce = Callable[[], Awaitable[int]]
Contender = Callable[[str], AbstractAsyncContextManager[CallOnce]]


class Stub(asyncio.Protocol):
    """Answers each request at once, and reads no more of it than its end."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._received = b""

    def data_received(self, data: bytes) -> None:
        *requests, self._received = (self._received + data).split(b"\r\n\r\n")
        self._transport.write(ANSWER * len(requests))


async def serve() -> None:
    """Be the upstream: say the port, and serve until the calling process has gone."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Stub, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


# ---------------------------------------------------------------- the contenders


@asynccontextmanager
async def plain_aiohttp(url: str) -> AsyncIterator[CallOnce]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:

        async def call_once() -> int:
            async with session.get(url) as response:
                return len(await response.read())

        yield call_once


def plain_httpx(carrier: Callable[[], httpx.AsyncBaseTransport] | None) -> Contender:
    @asynccontextmanager
    async def contender(url: str) -> AsyncIterator[CallOnce]:
        async with httpx_client(carrier) as client:

            async def call_once() -> int:
                return len((await client.get(url)).content)

            yield call_once

    return contender


def httpx_client(carrier: Callable[[], httpx.AsyncBaseTransport] | None) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    transport = carrier() if carrier else None
    return httpx.AsyncClient(transport=transport, limits=limits, headers=HEADERS)


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[CallOnce]:
    async with aclosing(HttptoolsTransport()) as transport:
        yield calling(transport, url)


def our_httpx(carrier: Callable[[], httpx.AsyncBaseTransport] | None) -> Contender:
    @asynccontextmanager
    async def contender(url: str) -> AsyncIterator[CallOnce]:
        async with httpx_client(carrier) as client:
            yield calling(HttpxTransport(client), url)

    return contender


def calling(transport: Transport, url: str) -> CallOnce:
    call = Call(
        method="GET",
        url=url,
        headers=HEADERS,
        body=None,
        connect_timeout=5.0,
        options=ConnectionOptions(),
    )

    async def call_once() -> int:
        length = 0
        async with aclosing(await transport.open(call)) as response:
            while piece := await response.read():
                length += len(piece)
        return length

    return call_once


CONTENDERS: dict[str, Contender] = {
    "plain aiohttp": plain_aiohttp,
    OURS: ours,
    "plain httpx": plain_httpx(None),
    "HttpxTransport": our_httpx(None),
}
if httpx_aiohttp is not None:
    CONTENDERS["httpx on httpx-aiohttp"] = plain_httpx(httpx_aiohttp.AiohttpTransport)
    CONTENDERS["HttpxTransport on httpx-aiohttp"] = our_httpx(httpx_aiohttp.AiohttpTransport)


# ------------------------------------------------------------------ the measuring


async def cpu_per_call(call_once: CallOnce, *, in_flight: int) -> float:
    """Return the seconds of CPU for one call, with so many at once."""
    await keep_calling(call_once, in_flight=in_flight, calls=2 * in_flight)
    before = time.process_time()
    done = await keep_calling(call_once, in_flight=in_flight, calls=CALLS)
    return (time.process_time() - before) / done


async def keep_calling(call_once: CallOnce, *, in_flight: int, calls: int) -> int:
    """Make so many calls, or as many as there is time for; return how many."""
    numbers = iter(range(calls))
    deadline = time.monotonic() + MAX_SECONDS
    done = 0

    async def work() -> None:
        nonlocal done
        for _ in numbers:
            if await call_once() != len(BODY):
                raise RuntimeError("the answer is not the stub's")
            done += 1
            if time.monotonic() > deadline:
                return

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())
    return done


async def measure(url: str) -> dict[tuple[str, int], list[float]]:
    figures: dict[tuple[str, int], list[float]] = {}
    for number in range(ROUNDS):
        for in_flight in IN_FLIGHT:
            for name, contender in CONTENDERS.items():
                async with contender(url) as call_once:
                    cpu = await cpu_per_call(call_once, in_flight=in_flight)
                figures.setdefault((name, in_flight), []).append(cpu)
        print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
    return figures


# --------------------------------------------------------------------- the table


def table(figures: dict[tuple[str, int], list[float]]) -> str:
    """Write the medians, their ratio to ours, and the spread: (max - min) / median."""
    heads = [f"{n} in flight, ratio | µs | spread" for n in IN_FLIGHT]
    lines = ["| client | " + " | ".join(heads) + " |", "|---" + "|---:" * 3 * len(heads) + "|"]
    for name in CONTENDERS:
        cells = [cell for n in IN_FLIGHT for cell in cells_of(figures, name, n)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cells_of(
    figures: dict[tuple[str, int], list[float]], name: str, in_flight: int
) -> tuple[str, str, str]:
    each = figures[name, in_flight]
    median, ours = statistics.median(each), statistics.median(figures[OURS, in_flight])
    spread = (max(each) - min(each)) / median
    return f"{median / ours:.1f}", f"{median * 1e6:,.0f}", f"{spread:.0%}"


def pin(*, to_last_core: bool) -> None:
    """Keep this process on one core, so that the two do not disturb each other."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[-1 if to_last_core else 0]})


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        pin(to_last_core=True)
        run(serve())
        return
    command = [sys.executable, "-m", "benchmarks.transport", "serve"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as upstream:
        assert upstream.stdin
        assert upstream.stdout
        url = f"http://127.0.0.1:{int(upstream.stdout.readline())}/v1/weather?city=Paris"
        pin(to_last_core=False)
        print(table(run(measure(url))), versions(*PACKAGES), sep="\n\n")
        upstream.stdin.close()


if __name__ == "__main__":
    main()
