"""A body that does not come in its time is 408 on both applications, asked without a server.

Over a server it takes `BODY_TIMEOUT`, which here is short.
"""

import asyncio
import json
import socket
from contextlib import closing

import pytest

from streaming import adapter, flask, quart
from streaming.core.feed import Feed, Upstream
from streaming.core.settings import Settings

SETTINGS = Settings(feeds={"one": Feed("one", upstreams={"a": Upstream(url="http://a.invalid/")})})


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(adapter, "BODY_TIMEOUT", 0.1)


async def test_quart_gives_up_a_slow_body():
    """What has come of it does not matter, and no feed is looked for."""
    app = quart.create_app(SETTINGS)
    async with app.test_client().request("/feeds/one", method="POST") as connection:
        await connection.send(b"{")
        answer = await asyncio.wait_for(connection.receive(), 10.0)
    assert (connection.status_code, json.loads(answer)["timeout"]) == (408, 0.1)


def test_flask_gives_up_a_slow_body():
    """The thread that reads comes back, where the server gave the client's socket."""
    server, client = socket.socketpair()
    with server, client, closing(server.makefile("rb")) as body:
        client.sendall(b"{")
        environ = {
            "werkzeug.socket": server,
            "wsgi.input": body,
            "wsgi.input_terminated": True,
        }
        app = flask.create_app(SETTINGS)
        response = app.test_client().post("/feeds/one", environ_overrides=environ)
    assert (response.status_code, response.get_json(force=True)["timeout"]) == (408, 0.1)
