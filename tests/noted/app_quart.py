"""fanstream's Quart application with views beside it that note down their ends.

In a folder of its own under the name that servers ask for: a server that starts here serves it.
"""

import asyncio
import os
import time

from notes import note, note_async

from streaming.application import load_settings
from streaming.quart import create_app, event_stream

app = create_app(load_settings())


@app.get("/plain")
@event_stream
def plain():
    try:
        while True:
            yield {"is": "plain"}
            time.sleep(0.05)
    finally:
        note("plain")


@app.get("/flood")
@event_stream
def flood():
    try:
        while True:
            yield {"is": "x" * 100_000}
    finally:
        note("flood")


@app.get("/async")
@event_stream
async def asynchronous():
    try:
        yield {"is": "async"}
        await asyncio.Event().wait()
    finally:
        await note_async("async")


@app.get("/pid")
async def pid():
    return str(os.getpid())


@app.teardown_request
async def tear_down_request(error):
    await note_async("request")


@app.teardown_appcontext
async def tear_down_appcontext(error):
    await note_async("appcontext")
