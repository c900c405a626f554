"""Somebody's own application, by the name that `fanstream serve` serves; see `own_generators`."""

from own_generators import VIEWS, note
from quart import g, request

from streaming.application import load_settings
from streaming.quart import create_app, event_stream

app = create_app(load_settings())

for view in VIEWS:
    app.add_url_rule(f"/{view.__name__}/<key>", view_func=event_stream(view))


@app.before_request
async def before():
    g.words = (request.path.strip("/") or "page").split("/")


@app.teardown_request
async def torn_down(error):
    note("teardown_request", *g.get("words", ()))


@app.teardown_appcontext
async def context_torn_down(error):
    note("teardown_appcontext", *g.get("words", ()))
