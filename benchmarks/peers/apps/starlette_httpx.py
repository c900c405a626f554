"""Fan-out by hand: Starlette, and one httpx client for the process.

Its pool has httpx's default limits. With them raised every call finds a connection, and yet half as
many requests are answered: what the pool does for a call grows with the connections it has.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
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
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    async with httpx.AsyncClient(timeout=30) as client:
        yield {"client": client}


async def call(client: httpx.AsyncClient, name: str, url: str) -> str:
    response = await client.get(url)
    result = {"upstream": name, "status": response.status_code, "body": response.json()}
    return f"event: result\ndata: {json.dumps(result)}\n\n"


async def results(client: httpx.AsyncClient, kind: str) -> AsyncIterator[str]:
    tasks = [asyncio.create_task(call(client, name, url)) for name, url in CALLS[kind]]
    for done in asyncio.as_completed(tasks):
        yield await done


async def fanout(request: Request) -> Response:
    stream = results(request.state.client, request.path_params["kind"])
    return StreamingResponse(stream, media_type="text/event-stream")


async def ready(request: Request) -> Response:
    return PlainTextResponse("ready\n")


app = Starlette(
    routes=[Route("/ready", ready), Route("/fanout/{kind}", fanout)],
    lifespan=lifespan,
)
