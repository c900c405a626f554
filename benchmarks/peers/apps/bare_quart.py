"""The least that Quart can hold open: a generator that sends an event, and a beat every 15 s."""

import asyncio
from collections.abc import AsyncIterator

from quart import Quart, Response

app = Quart(__name__)


@app.get("/first")
async def first() -> Response:
    async def beats() -> AsyncIterator[bytes]:
        yield b"event: hello\ndata: {}\n\n"
        while True:
            await asyncio.sleep(15)
            yield b": beat\n\n"

    response = Response(beats(), mimetype="text/event-stream")
    response.timeout = None
    return response


@app.get("/ready")
async def ready() -> str:
    return "ready\n"
