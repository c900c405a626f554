"""Log lines: a token in a query stands in no access log, whichever server writes it."""

import logging
import re
import time

import jwt
import pytest

from streaming import flask, quart
from streaming.core.settings import AuthSettings, Settings
from streaming.logs import ACCESS_LOGGERS, TokenRedaction
from tests.serving import ROOT, free_port, serving, serving_command
from tests.viewing import ask

TOKEN = "pr1vate-t0ken"
SECRET = "correct horse battery staple, twice"

CONFIG = """
[auth]
jwt_secret = "{secret}"

[feeds.quick.upstreams.it]
url = "http://127.0.0.1:9/"
"""

# Told to log requests, and their queries, which hypercorn and granian leave out by default.
_HYPERCORN_LOG = "--access-logfile - --access-logformat %(Uq)s"
_GRANIAN_LOG = "--access-log --access-log-fmt %(path)s?%(query_string)s"
COMMANDS = {
    "uvicorn": "uvicorn app_quart:app --port {port}",
    "hypercorn": f"hypercorn app_quart:app --bind 127.0.0.1:{{port}} {_HYPERCORN_LOG}",
    "granian-asgi": f"granian --interface asgi app_quart:app --port {{port}} {_GRANIAN_LOG}",
    "granian-wsgi": f"granian --interface wsgi app_flask:app --port {{port}} {_GRANIAN_LOG}",
    "gunicorn-asgi": "gunicorn -k asgi app_quart:app --bind 127.0.0.1:{port} --access-logfile -",
    "gthread": "gunicorn --threads 4 app_flask:app --bind 127.0.0.1:{port} --access-logfile -",
    "gevent": "gunicorn -k gevent app_flask:app --bind 127.0.0.1:{port} --access-logfile -",
}


def logged(message, *args):
    record = logging.LogRecord("x", logging.INFO, "x", 1, message, args, None)
    assert TokenRedaction().filter(record)
    return record


@pytest.mark.parametrize(
    "query",
    [
        f"?access_token={TOKEN}",
        f"?city=Oslo&access_token={TOKEN}&format=sse",
        f"?access%5Ftoken={TOKEN}",
        f"?%61ccess_token={TOKEN}&access_token={TOKEN}",
        f"?city?access_token=?{TOKEN}",
        f"?access_token='{TOKEN}'",
        f"?a%63%63ess_%74oke%6E={TOKEN}",
    ],
)
def test_a_token_is_not_written(query):
    """However it is written in the query, and whether the query is an argument or not."""
    for record in (
        logged(f'"GET /feeds/city{query} HTTP/1.1" 200'),
        logged('%s - "%s" %d', "127.0.0.1:1", f"/feeds/city{query}", 200),
        logged("%(r)s", {"r": f"GET /feeds/city{query} HTTP/1.1"}),
    ):
        assert TOKEN not in record.getMessage()
        assert "/feeds/city?" in record.getMessage()


def test_a_query_that_stands_alone():
    """A log's format may have it in a place of its own."""
    record = logged("%(path)s %(query)s", {"path": "/feeds", "query": f"access_token={TOKEN}&a=b"})
    assert record.getMessage() == "/feeds access_token=…&a=b"


def test_the_rest_is_as_it_was():
    """Other parameters stay, and arguments keep their number and their types."""
    record = logged('%s "%s" %d', "a", "/feeds/city?city=Oslo&token=x", 200)
    assert record.args == ("a", "/feeds/city?city=Oslo&token=x", 200)


@pytest.mark.parametrize("piece", ["?", "&", "=", "%", "access_token", "%61ccess_token=&"])
def test_a_hostile_query(piece):
    """The time grows with its length, and not with its square, which would be many seconds."""
    before = time.perf_counter()
    logged("/?" + piece * (60_000 // len(piece)))
    assert time.perf_counter() - before < 1.0


def test_what_the_contract_shows():
    """The lines for an application of one's own run as they are, and name every access log."""
    contract = (ROOT / "docs" / "contract.md").read_text()
    [lines] = [
        code for code in re.findall(r"```python\n(.*?)```", contract, re.DOTALL) if "Redac" in code
    ]
    names = {*ACCESS_LOGGERS, "werkzeug"}
    before = {name: logging.getLogger(name).filters[:] for name in names}
    try:
        exec(lines)
        for name in names:
            assert isinstance(logging.getLogger(name).filters[-1], TokenRedaction)
    finally:
        for name, filters in before.items():
            logging.getLogger(name).filters[:] = filters


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_access_log_of_a_server(command, tmp_path):
    """Under a server's own command, told to log requests, the path is logged and no token is."""
    port = free_port()
    file = tmp_path / "feeds.toml"
    file.write_text(CONFIG.format(secret=SECRET))
    env = {"FANSTREAM_CONFIG": str(file)}
    arguments = command.format(port=port).split()
    with serving_command("-m", *arguments, port=port, folder=tmp_path, env=env) as served:
        good, expired = (token(feeds=["*"], **claims) for claims in ({}, {"exp": 1}))
        for given, status in ((good, 404), (expired, 401), (TOKEN, 401)):
            path = f"/feeds/nowhere?access_token={given}"
            assert ask(served.base_url, path).status_code == status
            for headers in ({"Authorization": f"Bearer {given}"}, {"Cookie": f"fanstream={given}"}):
                response = ask(served.base_url, "/feeds/elsewhere", headers=headers)
                assert response.status_code == status
        assert ask(served.base_url, "/healthz").status_code == 200
    for private in (good, expired, TOKEN, SECRET):
        assert private not in served.log()
    assert served.log().count("/feeds/nowhere?access_token=…") == 3


def token(**claims):
    return jwt.encode(claims, SECRET, algorithm="HS256")


# ---------------------------------------------------------------------- a weak secret


@pytest.mark.parametrize("create_app", [flask.create_app, quart.create_app])
def test_a_weak_secret_is_said_at_the_start(create_app, caplog):
    """When the application is made, before any request."""
    create_app(Settings(auth=AuthSettings(jwt_secret="hunter2")))
    assert caplog.messages == ["auth.jwt_secret has less than 32 bytes"]


@pytest.mark.parametrize(("app", "server"), [("quart", "uvicorn"), ("flask", "gunicorn")])
def test_a_weak_secret_is_said_once(app, server, tmp_path):
    """By the process that serves, and not by its parent as well."""
    config = CONFIG.format(secret="hunter2")
    with serving(app, config, folder=tmp_path, server=server) as served:
        assert ask(served.base_url, "/healthz").status_code == 200
        assert ask(served.base_url, f"/feeds?access_token={TOKEN}").status_code == 401
    assert served.log().count("WARNING auth.jwt_secret has less than 32 bytes") == 1
    assert served.log().count("jwt_secret") == 1


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_weak_secret_is_said_by_a_servers_own_command(command, tmp_path):
    """Whoever starts the application sees it in that server's log."""
    port = free_port()
    file = tmp_path / "feeds.toml"
    file.write_text(CONFIG.format(secret="hunter2"))
    env = {"FANSTREAM_CONFIG": str(file)}
    arguments = command.format(port=port).split()
    with serving_command("-m", *arguments, port=port, folder=tmp_path, env=env) as served:
        assert ask(served.base_url, f"/feeds?access_token={TOKEN}").status_code == 401
    assert served.log().count("WARNING auth.jwt_secret has less than 32 bytes") == 1
