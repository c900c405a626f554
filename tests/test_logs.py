"""Log lines: a token in a query stands in no access log, whichever server writes it."""

import logging

import pytest

from streaming.logs import TokenRedaction
from tests.serving import free_port, serving_command
from tests.viewing import ask

TOKEN = "pr1vate-t0ken"

COMMANDS = {
    "uvicorn": "uvicorn app_quart:app --port {port}",
    "hypercorn": "hypercorn app_quart:app --bind 127.0.0.1:{port} --access-logfile -",
    "granian-asgi": "granian --interface asgi app_quart:app --port {port} --access-log",
    "granian-wsgi": "granian --interface wsgi app_flask:app --port {port} --access-log",
    "gunicorn-asgi": "gunicorn -k asgi app_quart:app --bind 127.0.0.1:{port} --access-logfile -",
    "gthread": "gunicorn --threads 4 app_flask:app --bind 127.0.0.1:{port} --access-logfile -",
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


def test_the_rest_is_as_it_was():
    """Other parameters stay, and arguments keep their number and their types."""
    record = logged('%s "%s" %d', "a", "/feeds/city?city=Oslo&token=x", 200)
    assert record.args == ("a", "/feeds/city?city=Oslo&token=x", 200)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_access_log_of_a_server(command, tmp_path):
    """Under a server's own command, told to log requests, the path is logged and no token is."""
    port = free_port()
    arguments = command.format(port=port).split()
    with serving_command("-m", *arguments, port=port, folder=tmp_path) as served:
        path = f"/feeds/nowhere?access_token={TOKEN}"
        assert ask(served.base_url, path).status_code == 404
        assert ask(served.base_url, "/healthz").status_code == 200
    assert TOKEN not in served.log()
    assert "/feeds/nowhere" in served.log()
