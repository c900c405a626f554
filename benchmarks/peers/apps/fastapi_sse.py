"""FastAPI with its own `fastapi.sse`, with a queue for each subscriber.

The lines are JSON already, so that they go out as `raw_data`.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

UPSTREAM = os.environ["UPSTREAM"]

subscribers: set[asyncio.Queue[ServerSentEvent]] = set()
broadcasts: set[asyncio.Task[None]] = set()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, aiohttp.ClientSession]]:
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield {"session": session}


app = FastAPI(lifespan=lifespan)


async def lines(session: aiohttp.ClientSession, query: str) -> AsyncIterator[str]:
    async with session.get(f"{UPSTREAM}/ndjson?{query}") as response:
        async for line in response.content:
            yield line.decode().rstrip("\n")


@app.get("/flat", response_class=EventSourceResponse)
async def flat(request: Request) -> AsyncIterator[ServerSentEvent]:
    n = 0
    async for line in lines(request.state.session, request.url.query):
        n += 1
        yield ServerSentEvent(id=str(n), event="chunk", raw_data=line)


@app.get("/watch", response_class=EventSourceResponse)
async def watch() -> AsyncIterator[ServerSentEvent]:
    queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue()
    subscribers.add(queue)
    try:
        while True:
            yield await queue.get()
    finally:
        subscribers.remove(queue)


async def broadcast(session: aiohttp.ClientSession, query: str) -> None:
    async for line in lines(session, query):
        event = ServerSentEvent(event="chunk", raw_data=line)
        for queue in subscribers:
            queue.put_nowait(event)


@app.get("/start", status_code=202)
async def start(request: Request) -> PlainTextResponse:
    task = asyncio.create_task(broadcast(request.state.session, request.url.query))
    broadcasts.add(task)
    task.add_done_callback(broadcasts.discard)
    return PlainTextResponse("started\n", status_code=202)


@app.get("/first", response_class=EventSourceResponse)
async def first() -> AsyncIterator[ServerSentEvent]:
    yield ServerSentEvent(event="hello", raw_data="{}")
    await asyncio.Event().wait()


@app.get("/ready")
async def ready() -> PlainTextResponse:
    return PlainTextResponse("ready\n")
