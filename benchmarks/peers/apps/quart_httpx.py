"""Fan-out by hand: Quart, and one httpx client for the process.

Its pool has httpx's default limits. With them raised every call finds a connection, and yet half as
many requests are answered: what the pool does for a call grows with the connections it has.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator

import httpx
from quart import Quart, Response

UPSTREAM = os.environ["UPSTREAM"]
CALLS = {
    "delays": [(f"u{ms}", f"{UPSTREAM}/delay/{ms}") for ms in range(10, 101, 10)],
    "none": [(f"u{n}", f"{UPSTREAM}/delay/0") for n in range(1, 11)],
}

app = Quart(__name__)


@app.while_serving
async def lifespan() -> AsyncIterator[None]:
    async with httpx.AsyncClient(timeout=30) as client:
        app.config["CLIENT"] = client
        yield


async def call(name: str, url: str) -> str:
    response = await app.config["CLIENT"].get(url)
    result = {"upstream": name, "status": response.status_code, "body": response.json()}
    return f"event: result\ndata: {json.dumps(result)}\n\n"


@app.get("/fanout/<kind>")
async def fanout(kind: str) -> Response:
    async def results() -> AsyncIterator[str]:
        tasks = [asyncio.create_task(call(name, url)) for name, url in CALLS[kind]]
        for done in asyncio.as_completed(tasks):
            yield await done

    response = Response(results(), mimetype="text/event-stream")
    response.timeout = None
    return response


@app.get("/ready")
async def ready() -> str:
    return "ready\n"
