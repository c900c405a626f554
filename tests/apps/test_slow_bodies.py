"""A body that does not come in its time, on both applications, asked without a server.

Over a server it takes `BODY_TIMEOUT`, which here is short.
"""

import asyncio
import json
import socket
from contextlib import aclosing, closing
from dataclasses import replace

import pytest

from streaming import adapter, flask, quart
from streaming.core.feed import Feed, Upstream
from streaming.core.settings import AuthSettings, Settings

SETTINGS = Settings(feeds={"one": Feed("one", upstreams={"a": Upstream(url="http://a.invalid/")})})
GUARDED = replace(SETTINGS, auth=AuthSettings(jwt_secret="x" * 32))

JSON = {"Content-Type": "application/json"}

# What can be told without the body: settings, path, headers and status.
REFUSED = [
    (GUARDED, "/feeds/one", JSON, 401),
    (SETTINGS, "/feeds/one", {**JSON, "Sec-Fetch-Site": "cross-site"}, 403),
    (SETTINGS, "/feeds/none", JSON, 404),
    (SETTINGS, "/feeds/one?ping=no", JSON, 422),
    (SETTINGS, "/feeds/one", {}, 415),
]

refused = pytest.mark.parametrize(
    ("settings", "path", "headers", "status"), REFUSED, ids=lambda value: str(value)[:20]
)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(adapter, "BODY_TIMEOUT", 0.1)


async def post_to_quart(settings, path, headers):
    """Send the beginning of a body, and return the status and the problem."""
    app = quart.create_app(settings)
    async with (
        aclosing(app.extensions[adapter.EXTENSION]),
        app.test_client().request(path, method="POST", headers=headers) as connection,
    ):
        await connection.send(b"{")
        answer = await asyncio.wait_for(connection.receive(), 10.0)
    return connection.status_code, json.loads(answer)


def post_to_flask(settings, path, headers):
    """Send the beginning of a body on a socket, and return the status and the problem."""
    app = flask.create_app(settings)
    server, client = socket.socketpair()
    with (
        server,
        client,
        closing(server.makefile("rb")) as body,
        closing(app.extensions[adapter.EXTENSION]),
    ):
        client.sendall(b"{")
        environ = {
            "werkzeug.socket": server,
            "wsgi.input": body,
            "wsgi.input_terminated": True,
        }
        response = app.test_client().post(path, headers=headers, environ_overrides=environ)
    return response.status_code, response.get_json(force=True)


async def test_quart_gives_up_a_slow_body():
    """What has come of it does not matter."""
    status, problem = await post_to_quart(SETTINGS, "/feeds/one", JSON)
    assert (status, problem["timeout"]) == (408, 0.1)


def test_flask_gives_up_a_slow_body():
    """The thread that reads comes back, where the server gave the client's socket."""
    status, problem = post_to_flask(SETTINGS, "/feeds/one", JSON)
    assert (status, problem["timeout"]) == (408, 0.1)


@refused
async def test_quart_waits_for_no_body_in_vain(settings, path, headers, status):
    """Whoever asks for what there is not, or may not ask, is told at once."""
    assert (await post_to_quart(settings, path, headers))[0] == status


@refused
def test_flask_waits_for_no_body_in_vain(settings, path, headers, status):
    """Likewise, and no thread is held meanwhile."""
    assert post_to_flask(settings, path, headers)[0] == status
