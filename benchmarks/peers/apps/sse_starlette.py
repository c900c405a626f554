"""sse-starlette on Starlette: its response, with a queue for each subscriber."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

UPSTREAM = os.environ["UPSTREAM"]

subscribers: set[asyncio.Queue[dict[str, Any]]] = set()
broadcasts: set[asyncio.Task[None]] = set()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, aiohttp.ClientSession]]:
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield {"session": session}


async def lines(session: aiohttp.ClientSession, query: str) -> AsyncIterator[str]:
    async with session.get(f"{UPSTREAM}/ndjson?{query}") as response:
        async for line in response.content:
            yield line.decode().rstrip("\n")


async def flat(request: Request) -> Response:
    async def events() -> AsyncIterator[dict[str, Any]]:
        n = 0
        async for line in lines(request.state.session, request.url.query):
            n += 1
            yield {"id": str(n), "event": "chunk", "data": line}

    return EventSourceResponse(events())


async def watch(request: Request) -> Response:
    async def events() -> AsyncIterator[dict[str, Any]]:
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        subscribers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            subscribers.remove(queue)

    return EventSourceResponse(events())


async def broadcast(session: aiohttp.ClientSession, query: str) -> None:
    async for line in lines(session, query):
        event = {"event": "chunk", "data": line}
        for queue in subscribers:
            queue.put_nowait(event)


async def start(request: Request) -> Response:
    task = asyncio.create_task(broadcast(request.state.session, request.url.query))
    broadcasts.add(task)
    task.add_done_callback(broadcasts.discard)
    return PlainTextResponse("started\n", status_code=202)


async def first(request: Request) -> Response:
    async def events() -> AsyncIterator[dict[str, Any]]:
        yield {"event": "hello", "data": "{}"}
        await asyncio.Event().wait()

    return EventSourceResponse(events())


async def ready(request: Request) -> Response:
    return PlainTextResponse("ready\n")


app = Starlette(
    routes=[
        Route("/ready", ready),
        Route("/flat", flat),
        Route("/watch", watch),
        Route("/start", start),
        Route("/first", first),
    ],
    lifespan=lifespan,
)
