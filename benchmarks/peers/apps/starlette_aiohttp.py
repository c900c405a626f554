"""Fan-out by hand: Starlette, and one aiohttp session for the process."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

UPSTREAM = os.environ["UPSTREAM"]
CALLS = {
    "delays": [(f"u{ms}", f"{UPSTREAM}/delay/{ms}") for ms in range(10, 101, 10)],
    "none": [(f"u{n}", f"{UPSTREAM}/delay/0") for n in range(1, 11)],
}


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, aiohttp.ClientSession]]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield {"session": session}


async def call(session: aiohttp.ClientSession, name: str, url: str) -> str:
    async with session.get(url) as response:
        result = {"upstream": name, "status": response.status, "body": await response.json()}
    return f"event: result\ndata: {json.dumps(result)}\n\n"


async def results(session: aiohttp.ClientSession, kind: str) -> AsyncIterator[str]:
    tasks = [asyncio.create_task(call(session, name, url)) for name, url in CALLS[kind]]
    for done in asyncio.as_completed(tasks):
        yield await done


async def fanout(request: Request) -> Response:
    stream = results(request.state.session, request.path_params["kind"])
    return StreamingResponse(stream, media_type="text/event-stream")


async def ready(request: Request) -> Response:
    return PlainTextResponse("ready\n")


app = Starlette(
    routes=[Route("/ready", ready), Route("/fanout/{kind}", fanout)],
    lifespan=lifespan,
)
