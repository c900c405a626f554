"""Where a worker waits for the engine: a thread, or under gevent a greenlet."""

import subprocess
import sys
import threading
import time

from streaming.engine.threads import ThreadGate, make_gate, make_lock, start_thread
from tests.fan_out import PATIENCE
from tests.upstreams import UpstreamsThread


def test_a_gate_lets_one_pass_for_each_time_it_is_opened() -> None:
    """Also where it was opened before; then it is shut again."""
    gate = make_gate()
    assert isinstance(gate, ThreadGate)
    gate.open()
    gate.open()
    gate.wait(PATIENCE)
    before = time.monotonic()
    gate.wait(0.05)
    assert time.monotonic() - before >= 0.04
    gate.open()
    gate.wait()
    gate.close()


def test_a_gate_is_opened_by_another_thread() -> None:
    """Without a look at the clock."""
    gate = make_gate()
    start_thread(gate.open, name="opener")
    gate.wait(PATIENCE)
    gate.wait(-1.0)


def test_a_gate_waits_as_long_as_it_is_told_however_long() -> None:
    """Longer than the system's locks can: it is opened all the same."""
    gate = make_gate()
    threading.Timer(0.02, gate.open).start()
    gate.wait(threading.TIMEOUT_MAX * 2)


def test_a_lock_holds_between_threads() -> None:
    """It is a lock of the operating system's threads."""
    with (lock := make_lock()):
        assert lock.locked()


GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent, socket, sys
from contextlib import suppress
from functools import partial
from streaming.core.feed import Feed, Upstream
from streaming.core.message import Request
from streaming.core.settings import Settings
from streaming.engine.bridge import Bridge, drive_in_thread
from streaming.engine.engine import Engine
from streaming.engine.socket_watch import SocketWatch

# Its first piece says that it was called; who leaves before that ends no call.
upstream = Upstream(url=sys.argv[1] + "/stall-in-body", read="stream")
feed = Feed("it", on_disconnect="cancel", upstreams={"a": upstream})
bridge = Bridge(lambda: Engine(Settings(feeds={"it": feed})))

def serve(server):
    request = Request(method="GET", path={"feed": "it"}, query=(("format", "ndjson"),))
    watch = partial(SocketWatch, server.fileno())
    with server, suppress(OSError):
        for piece in drive_in_thread(bridge.answer("read_feed", request, watch=watch).viewer):
            server.sendall(piece)

def visit():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        serving = gevent.spawn(serve, listening.accept()[0])
    with client, client.makefile("rb") as lines:
        while b'"chunk"' not in lines.readline():
            pass
    client.close()
    serving.get(timeout=20)

gevent.joinall([gevent.spawn(visit) for _ in range(5)], raise_error=True, timeout=30)
bridge.close()
print("ended")
"""


def test_greenlets_are_served_by_a_thread_of_the_engines() -> None:
    """They stream at once, each notices that its client has gone, and the engine ends in order."""
    with UpstreamsThread() as upstreams:
        ran = subprocess.run(
            [sys.executable, "-c", GEVENT, upstreams.base_url],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert (ran.stdout, ran.stderr, ran.returncode) == ("ended\n", "", 0)
        upstreams.wait_closed_by_peer("/stall-in-body", 5)
