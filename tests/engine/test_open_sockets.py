"""What waits on a socket, asked without waiting."""

import socket
import subprocess
import sys

from streaming.engine.open_sockets import is_readable

UNDER_GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent, socket
from streaming.engine.open_sockets import is_readable
from streaming.engine.threads import start_thread
from gevent._hub_local import get_hub_if_exists

there, here = socket.socketpair()
found = []
def look():
    found.append(is_readable(here.fileno()))
    there.send(b"x")
    found.append(is_readable(here.fileno()))
    found.append(get_hub_if_exists())
start_thread(look, name="")
while len(found) < 3:
    gevent.sleep(0.01)
print(found)
"""


def test_bytes_and_the_end_are_readable() -> None:
    """And nothing else is; a socket that is closed has come to its end."""
    there, here = socket.socketpair()
    with there, here:
        assert not is_readable(here.fileno())
        there.send(b"x")
        assert is_readable(here.fileno())
        here.recv(1)
        assert not is_readable(here.fileno())
        there.shutdown(socket.SHUT_WR)
        assert is_readable(here.fileno())
    assert is_readable(here.fileno())


def test_gevent_is_not_asked() -> None:
    """The engine's thread has no hub, and must get none."""
    ran = subprocess.run(
        [sys.executable, "-c", UNDER_GEVENT],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("[False, True, None]\n", "")
