"""The recipe of Quart's documentation for server-sent events, with a queue for each subscriber.

`ServerSentEvent.encode` and the response are the guide's, its missing default for `retry` added.
The guide has no beats, so that only `/first`, for the idle, sends any.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from quart import Quart, Response, make_response, request

UPSTREAM = os.environ["UPSTREAM"]
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}

app = Quart(__name__)
subscribers: set[asyncio.Queue[str]] = set()


@dataclass
class ServerSentEvent:
    data: str
    event: str | None = None
    id: int | None = None
    retry: int | None = None

    def encode(self) -> bytes:
        message = f"data: {self.data}"
        if self.event is not None:
            message = f"{message}\nevent: {self.event}"
        if self.id is not None:
            message = f"{message}\nid: {self.id}"
        if self.retry is not None:
            message = f"{message}\nretry: {self.retry}"
        message = f"{message}\n\n"
        return message.encode("utf-8")


@app.while_serving
async def lifespan() -> AsyncIterator[None]:
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        app.config["SESSION"] = session
        yield


async def lines(query: str) -> AsyncIterator[str]:
    async with app.config["SESSION"].get(f"{UPSTREAM}/ndjson?{query}") as response:
        async for line in response.content:
            yield line.decode().rstrip("\n")


async def stream(events: AsyncIterator[bytes]) -> Response:
    response = await make_response(events, HEADERS)
    response.timeout = None
    return response


@app.get("/flat")
async def flat() -> Response:
    async def send_events(query: str) -> AsyncIterator[bytes]:
        n = 0
        async for line in lines(query):
            n += 1
            yield ServerSentEvent(line, event="chunk", id=n).encode()

    return await stream(send_events(request.query_string.decode()))


@app.get("/watch")
async def watch() -> Response:
    async def send_events() -> AsyncIterator[bytes]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        subscribers.add(queue)
        try:
            while True:
                yield ServerSentEvent(await queue.get(), event="chunk").encode()
        finally:
            subscribers.remove(queue)

    return await stream(send_events())


async def broadcast(query: str) -> None:
    async for line in lines(query):
        for queue in subscribers:
            queue.put_nowait(line)


@app.get("/start")
async def start() -> tuple[str, int]:
    app.add_background_task(broadcast, request.query_string.decode())
    return "started\n", 202


@app.get("/first")
async def first() -> Response:
    async def send_events() -> AsyncIterator[bytes]:
        yield ServerSentEvent("{}", event="hello").encode()
        while True:
            await asyncio.sleep(15)
            yield b": beat\n\n"

    return await stream(send_events())


@app.get("/ready")
async def ready() -> str:
    return "ready\n"
