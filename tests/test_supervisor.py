"""The parent of a server: what becomes of the server when the parent ends in any way."""

import signal
import socket

import pytest

from tests.serving import LOOPBACK, serving
from tests.viewing import ask, eventually

CONFIG = """
[server]
drain_timeout = 2.0

[feeds.one.upstreams.a]
url = "http://127.0.0.1:9/"
"""


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


@pytest.mark.parametrize("app", ["quart", "flask"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_server_does_not_outlive_its_parent(app, number, tmp_path):
    """Killed, or hung up on by its terminal: the port is free again soon, engine or no engine."""
    with serving(app, CONFIG, folder=tmp_path) as running:
        assert ask(running.base_url, "/healthz").status_code == 200
        running.signal(number)
        eventually(lambda: not is_listening(running.port))
