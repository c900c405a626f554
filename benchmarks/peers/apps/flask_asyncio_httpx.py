"""Fan-out by hand: Flask on threads, with a loop and an httpx client of each request's own.

`asyncio.Runner` is what `asyncio.run` is made of: with it the view can send each result as it
comes, where `asyncio.run` would return only with the last.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator

import httpx
from flask import Flask, Response

UPSTREAM = os.environ["UPSTREAM"]
CALLS = {
    "delays": [(f"u{ms}", f"{UPSTREAM}/delay/{ms}") for ms in range(10, 101, 10)],
    "none": [(f"u{n}", f"{UPSTREAM}/delay/0") for n in range(1, 11)],
}

app = Flask(__name__)


async def call(client: httpx.AsyncClient, name: str, url: str) -> str:
    response = await client.get(url)
    result = {"upstream": name, "status": response.status_code, "body": response.json()}
    return f"event: result\ndata: {json.dumps(result)}\n\n"


async def results(kind: str) -> AsyncIterator[str]:
    async with httpx.AsyncClient() as client:
        tasks = [asyncio.create_task(call(client, name, url)) for name, url in CALLS[kind]]
        for done in asyncio.as_completed(tasks):
            yield await done


async def next_of(stream: AsyncIterator[str]) -> str | None:
    return await anext(stream, None)


def in_a_loop(kind: str) -> Iterator[str]:
    with asyncio.Runner() as runner:
        stream = results(kind)
        while (event := runner.run(next_of(stream))) is not None:
            yield event


@app.get("/fanout/<kind>")
def fanout(kind: str) -> Response:
    return Response(in_a_loop(kind), mimetype="text/event-stream")


@app.get("/ready")
def ready() -> str:
    return "ready\n"
