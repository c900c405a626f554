"""The Flask application, with `/inside`; see `inside`."""

import asyncio
import time

from flask import g, has_app_context, has_request_context, jsonify, request
from inside import Inside

from streaming.application import load_settings
from streaming.flask import create_app, event_stream

inside = Inside()
app = create_app(load_settings())
_served = app.wsgi_app


def entering(environ, start_response):
    inside.enter(has_context=has_app_context() or has_request_context())
    return _served(environ, start_response)


app.wsgi_app = entering


@app.before_request
def before():
    inside.count("requests")
    g.path = request.full_path
    for thing in (request._get_current_object(), g._get_current_object()):
        inside.hold_weakly(thing, path=g.path)


@app.teardown_request
def torn_down(error):
    inside.count("teardown_request")


@app.teardown_appcontext
def app_torn_down(error):
    inside.count("teardown_appcontext")


@app.get("/inside")
def look():
    bridge = app.extensions["fanstream"]
    return jsonify(bridge.call(lambda interface: inside.look(interface.engine)))


@app.get("/meet/<int:threads>")
def meet(threads):
    return jsonify(met=inside.meet(threads))


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
