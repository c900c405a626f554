"""aiohttp-sse on aiohttp's server and uvloop, with a queue for each subscriber.

`handler_cancellation` is aiohttp's switch for handlers that wait: without it one whose client has
left waits on until its next write.
"""

import asyncio
import os
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web
from aiohttp_sse import sse_response

UPSTREAM = os.environ["UPSTREAM"]
SESSION = web.AppKey("SESSION", aiohttp.ClientSession)

subscribers: set[asyncio.Queue[str]] = set()
broadcasts: set[asyncio.Task[None]] = set()


async def session(app: web.Application) -> AsyncIterator[None]:
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout) as app[SESSION]:
        yield


async def lines(request: web.Request) -> AsyncIterator[str]:
    url = f"{UPSTREAM}/ndjson?{request.query_string}"
    async with request.app[SESSION].get(url) as response:
        async for line in response.content:
            yield line.decode().rstrip("\n")


async def flat(request: web.Request) -> web.StreamResponse:
    async with sse_response(request) as response:
        n = 0
        async for line in lines(request):
            n += 1
            await response.send(line, id=str(n), event="chunk")
    return response


async def watch(request: web.Request) -> web.StreamResponse:
    async with sse_response(request) as response:
        queue: asyncio.Queue[str] = asyncio.Queue()
        subscribers.add(queue)
        try:
            while response.is_connected():
                await response.send(await queue.get(), event="chunk")
        finally:
            subscribers.remove(queue)
    return response


async def broadcast(request: web.Request) -> None:
    async for line in lines(request):
        for queue in subscribers:
            queue.put_nowait(line)


async def start(request: web.Request) -> web.StreamResponse:
    task = asyncio.create_task(broadcast(request))
    broadcasts.add(task)
    task.add_done_callback(broadcasts.discard)
    return web.Response(status=202, text="started\n")


async def first(request: web.Request) -> web.StreamResponse:
    async with sse_response(request) as response:
        await response.send("{}", event="hello")
        await response.wait()
    return response


async def ready(request: web.Request) -> web.StreamResponse:
    return web.Response(text="ready\n")


def main() -> None:
    app = web.Application()
    app.cleanup_ctx.append(session)
    app.router.add_get("/ready", ready)
    app.router.add_get("/flat", flat)
    app.router.add_get("/watch", watch)
    app.router.add_get("/start", start)
    app.router.add_get("/first", first)
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        loop=uvloop.new_event_loop(),
        backlog=2048,
        access_log=None,
        print=None,
        handler_cancellation=True,
    )


if __name__ == "__main__":
    main()
