"""The Quart application, with `/inside`; see `inside`."""

import asyncio
import time

from inside import Inside
from quart import g, has_app_context, has_request_context, jsonify, request

from streaming.application import load_settings
from streaming.quart import create_app, event_stream

inside = Inside()
app = create_app(load_settings())
_served = app.asgi_app


async def entering(scope, receive, send):
    if scope["type"] == "http":
        inside.enter(has_context=has_app_context() or has_request_context())
    await _served(scope, receive, send)


app.asgi_app = entering


@app.before_request
async def before():
    inside.count("requests")
    g.path = request.full_path
    for thing in (request._get_current_object(), g._get_current_object()):
        inside.hold_weakly(thing, path=g.path)


@app.teardown_request
async def torn_down(error):
    inside.count("teardown_request")


@app.teardown_appcontext
async def app_torn_down(error):
    inside.count("teardown_appcontext")


@app.get("/inside")
async def look():
    return jsonify(await inside.look(app.extensions["fanstream"].engine))


@app.get("/plain/<key>")
@event_stream
def plain(key):
    inside.count("called")
    try:
        for n in range(1000):
            yield {"n": n, "path": request.full_path}
            time.sleep(0.01)
    finally:
        inside.count("closed")


@app.get("/async/<key>")
@event_stream
async def asynchronous(key):
    inside.count("called")
    try:
        for n in range(1000):
            yield {"n": n, "path": request.full_path}
            await asyncio.sleep(0.01)
    finally:
        inside.count("closed")
