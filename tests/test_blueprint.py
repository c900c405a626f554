"""Blueprints in an application of one's own: they ask for tokens where they are told to."""

import pytest
from flask import Flask
from quart import Quart

from streaming import AuthSettings, Feed, Upstream
from streaming.flask import blueprint as flask_blueprint
from streaming.quart import blueprint as quart_blueprint

FEEDS = [Feed("one", upstreams={"a": Upstream(url="http://127.0.0.1:9/")})]
AUTH = AuthSettings(jwt_secret="correct horse battery staple, twice")


@pytest.mark.parametrize(("auth", "status"), [(None, 200), (AUTH, 401)])
def test_in_flask(auth, status):
    """With `auth` nobody sees the feeds without a token, else everyone does."""
    app = Flask(__name__)
    made = flask_blueprint(FEEDS, auth=auth)
    app.register_blueprint(made, url_prefix="/live")
    assert app.test_client().get("/live/feeds").status_code == status
    app.extensions["fanstream"].close()


@pytest.mark.parametrize(("auth", "status"), [(None, 200), (AUTH, 401)])
async def test_in_quart(auth, status):
    """The same in the other framework."""
    app = Quart(__name__)
    app.register_blueprint(quart_blueprint(FEEDS, auth=auth), url_prefix="/live")
    async with app.test_app():
        response = await app.test_client().get("/live/feeds")
    assert response.status_code == status
