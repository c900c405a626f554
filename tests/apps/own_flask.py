"""An application of somebody's own, with Flask; see `own_views`."""

from flask import Flask, abort, g, jsonify, request, session

from streaming.flask import blueprint, event_stream
from tests.apps import own_views
from tests.apps.own_views import CALLED, CLOSED, FEEDS, MOCKED, SERVER, STREAMS

own_views.wait_shortly()
app = Flask(__name__)
app.secret_key = "test"
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
def seen():
    return jsonify(called=CALLED, closed=CLOSED)


@app.get("/")
def page():
    return "my own page"


@app.before_request
def before():
    g.word = request.args.get("word")


@app.after_request
def after(response):
    if "X-Fail" in request.headers:
        raise RuntimeError("after_request failed")
    response.headers["X-Own"] = "1"
    return response


@app.teardown_request
def torn_down(error):
    CLOSED[f"teardown {request.args.get('key')}"] += 1
