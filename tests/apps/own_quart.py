"""An application of somebody's own, with Quart; see `own_views`."""

from quart import Quart, abort, g, jsonify, request, session

from streaming.quart import blueprint, event_stream
from tests.apps import own_views
from tests.apps.own_views import CALLED, CLOSED, FEEDS, MOCKED, SERVER, STREAMS

own_views.wait_shortly()
app = Quart(__name__)
app.secret_key = "test"
# Shorter than some streams here; in Quart it is 60 s, and cuts a response off without a word.
app.config["RESPONSE_TIMEOUT"] = 0.3
app.register_blueprint(
    blueprint(FEEDS, server=SERVER, client=own_views.own_client()), url_prefix="/streams"
)
app.register_blueprint(
    blueprint(MOCKED, client=own_views.mock_client(), name="mocked"), url_prefix="/a/b"
)

for _rule, _view in STREAMS.items():
    app.add_url_rule(_rule, view_func=event_stream(_view))


@app.get("/asking")
@event_stream
def asking():
    yield {
        "word": request.args["word"],
        "path": request.path,
        "g": g.word,
        "user": session.get("u"),
    }


@app.get("/asking-async")
@event_stream
async def asking_async():
    yield {
        "word": request.args["word"],
        "path": request.path,
        "g": g.word,
        "user": session.get("u"),
    }


@app.get("/refusing")
@event_stream
def refusing():
    abort(409)


@app.get("/seen")
async def seen():
    return jsonify(called=CALLED, closed=CLOSED)


@app.get("/")
async def page():
    return "my own page"


@app.before_request
async def before():
    g.word = request.args.get("word")


@app.after_request
async def after(response):
    if "X-Fail" in request.headers:
        raise RuntimeError("after_request failed")
    response.headers["X-Own"] = "1"
    return response


@app.teardown_request
async def torn_down(error):
    CLOSED[f"teardown {request.args.get('key')}"] += 1
