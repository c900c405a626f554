"""The engine in its thread: one, late, after forks; asked from workers, ended with all it had."""

import asyncio
import contextvars
import gc
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from streaming.core.feed import Feed, Upstream
from streaming.core.message import Request
from streaming.core.settings import Settings
from streaming.engine import bridge as bridge_module
from streaming.engine.bridge import Bridge, drive_in_thread
from streaming.engine.client_watch import Watch
from streaming.engine.engine import Engine
from streaming.engine.interface import Interface
from streaming.engine.own_stream import OwnStreamReply
from streaming.engine.socket_watch import SocketWatch
from streaming.engine.streams import StreamReply
from tests.fan_out import PATIENCE, descriptors, descriptors_before, until_in_thread
from tests.upstreams import UpstreamsThread

secret: contextvars.ContextVar[str] = contextvars.ContextVar("secret")

HEALTH = Request(method="GET")


@pytest.fixture(scope="module")
def upstreams() -> Iterator[UpstreamsThread]:
    with UpstreamsThread() as upstreams:
        yield upstreams


def feeds(upstreams: UpstreamsThread) -> dict[str, Feed]:
    made = [
        Feed(
            name,
            on_disconnect="cancel",
            upstreams={"it": Upstream(url=upstreams.base_url + path, read=read)},
        )
        for name, path, read in [
            ("json", "/json", "json"),
            ("never", "/never", "json"),
            ("lines", "/lines?lines=500", "lines"),
        ]
    ]
    return {feed.name: feed for feed in made}


@pytest.fixture
def bridge(upstreams: UpstreamsThread) -> Iterator[Bridge]:
    bridge = Bridge(lambda: Engine(Settings(feeds=feeds(upstreams))))
    yield bridge
    bridge.close()
    assert not engine_threads()


def engine_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fanstream-engine"]


def ask(feed: str) -> Request:
    return Request(method="GET", path={"feed": feed}, query=(("format", "ndjson"),))


def stream(bridge: Bridge, feed: str, *, watch: Watch | None = None) -> StreamReply:
    reply = bridge.answer("read_feed", ask(feed), watch=watch)
    assert isinstance(reply, StreamReply)
    return reply


def interface_of(bridge: Bridge) -> Interface:
    async def give(interface: Interface) -> Interface:
        return interface

    return bridge.call(give)


# ----------------------------------------------------------------------- its thread


def test_nothing_runs_before_the_first_request(bridge: Bridge) -> None:
    """An application is imported, and its server forks, without a thread or a loop."""
    assert not engine_threads()
    assert bridge.answer("read_health", HEALTH, watch=None).status == 200
    assert [thread.daemon for thread in engine_threads()] == [True]


def test_many_first_requests_start_one_engine(upstreams: UpstreamsThread) -> None:
    """They all wait for it."""
    made: list[Engine] = []

    def make_engine() -> Engine:
        time.sleep(0.05)
        made.append(Engine(Settings()))
        return made[-1]

    bridge = Bridge(make_engine)
    with ThreadPoolExecutor(20) as workers:
        replies = [
            workers.submit(bridge.answer, "read_health", HEALTH, watch=None) for _ in range(20)
        ]
    assert {reply.result().status for reply in replies} == {200}
    assert len(made) == 1
    bridge.close()


def test_an_engine_that_cannot_be_made_is_its_callers_error() -> None:
    """Each caller is told, and the next one tries again."""
    errors: list[Exception] = [LookupError("first"), LookupError("second")]

    def make_engine() -> Engine:
        if errors:
            raise errors.pop(0)
        return Engine(Settings())

    bridge = Bridge(make_engine)
    for message in ("first", "second"):
        with pytest.raises(LookupError, match=message):
            bridge.answer("read_health", HEALTH, watch=None)
        until_in_thread(lambda: not engine_threads())
    assert bridge.answer("read_health", HEALTH, watch=None).status == 200
    bridge.close()


def test_a_loop_that_cannot_be_made_is_its_callers_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as in a process that has no descriptor left; nobody waits for it for ever."""

    def make_loop() -> asyncio.AbstractEventLoop:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(bridge_module, "make_loop", make_loop)
    bridge = Bridge(lambda: Engine(Settings()))
    with pytest.raises(OSError, match="Too many open files"):
        bridge.answer("read_health", HEALTH, watch=None)


# --------------------------------------------------------------------------- calling


def test_a_call_returns_what_its_function_returns(bridge: Bridge) -> None:
    """Its arguments and its exceptions pass between the threads unchanged."""

    async def divide(interface: Interface, number: int, by: int) -> float:
        await asyncio.sleep(0)
        return number / by

    assert bridge.call(divide, 3, 2) == 1.5
    with pytest.raises(ZeroDivisionError):
        bridge.call(divide, 3, 0)


def test_a_call_sees_nothing_of_its_caller(bridge: Bridge) -> None:
    """A run that it starts may outlive the request, and be watched by others."""

    async def look(interface: Interface) -> tuple[str | None, int]:
        await asyncio.sleep(0)
        return secret.get(None), threading.get_ident()

    secret.set("of the request")
    seen, ident = bridge.call(look)
    assert seen is None
    assert ident == engine_threads()[0].ident


def test_calls_do_not_wait_for_each_other(bridge: Bridge) -> None:
    """One that takes long holds up only who has made it."""
    begun = threading.Event()

    async def wait(interface: Interface) -> str:
        begun.set()
        return await asyncio.sleep(30, "never")

    worker = threading.Thread(target=lambda: suppressed(bridge, wait), daemon=True)
    worker.start()
    assert begun.wait(PATIENCE)
    assert bridge.answer("read_health", HEALTH, watch=None).status == 200
    assert worker.is_alive()
    bridge.close()
    worker.join(PATIENCE)
    assert not worker.is_alive()


def suppressed(bridge: Bridge, function: Any) -> None:
    with suppress(asyncio.CancelledError):
        bridge.call(function)


# -------------------------------------------------------------------------- streaming


def test_a_run_is_streamed_in_the_workers_thread(bridge: Bridge) -> None:
    """From the first byte to `done`, each event once, on many workers at once."""

    def read() -> bytes:
        return b"".join(drive_in_thread(stream(bridge, "lines").viewer))

    with ThreadPoolExecutor(8) as workers:
        bodies = [job.result(PATIENCE) for job in [workers.submit(read) for _ in range(24)]]
    for body in bodies:
        assert body.count(b'"event":"chunk"') == 500
        assert body.rstrip().splitlines()[-1].startswith(b'{"event":"done"')
    until_in_thread(lambda: interface_of(bridge).engine.admission.open == 0)


def test_leaving_ends_the_upstream_call(bridge: Bridge, upstreams: UpstreamsThread) -> None:
    """The worker closes the body, as a server does whose client has gone."""
    before = upstreams.closed_by_peer["/never"]
    calls = upstreams.calls["/never"]
    pieces = drive_in_thread(stream(bridge, "never").viewer)
    next(pieces)
    upstreams.wait_calls("/never", calls + 1)
    pieces.close()  # type: ignore[attr-defined]
    upstreams.wait_closed_by_peer("/never", before + 1)


def test_a_client_that_leaves_a_silent_stream_is_noticed(
    bridge: Bridge, upstreams: UpstreamsThread
) -> None:
    """By its socket, while the worker waits: its generator ends, and so do the upstream calls."""
    before = upstreams.closed_by_peer["/never"]
    calls = upstreams.calls["/never"]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()

    def serve() -> None:
        with server, suppress(OSError):
            for piece in drive_in_thread(
                stream(bridge, "never", watch=partial(SocketWatch, server.fileno())).viewer
            ):
                server.sendall(piece)

    worker = threading.Thread(target=serve, daemon=True)
    worker.start()
    client.settimeout(PATIENCE)
    client.recv(1000)
    # The first event comes at once; who leaves before the call is made ends no call.
    upstreams.wait_calls("/never", calls + 1)
    client.close()
    worker.join(PATIENCE)
    assert not worker.is_alive()
    upstreams.wait_closed_by_peer("/never", before + 1)


def test_a_stream_whose_socket_is_closed_by_now(bridge: Bridge) -> None:
    """Its client has left: there is nothing to say, and the slot comes back."""
    watch = partial(SocketWatch, -1)
    assert list(drive_in_thread(stream(bridge, "never", watch=watch).viewer)) == []
    assert isinstance(bridge.open_own(Request(method="GET"), watch=watch), StreamReply)
    assert interface_of(bridge).engine.admission.open == 0


def test_a_stream_whose_socket_cannot_be_watched(bridge: Bridge) -> None:
    """Where there is no descriptor left for it, the slot comes back as well."""

    def watch(**_: Any) -> SocketWatch:
        raise OSError(24, "Too many open files")

    with pytest.raises(OSError, match="Too many open files"):
        stream(bridge, "never", watch=watch)
    assert interface_of(bridge).engine.admission.open == 0


def test_a_stream_that_is_dropped_unread_is_closed(bridge: Bridge) -> None:
    """From whichever thread the last reference goes."""
    pieces = drive_in_thread(stream(bridge, "never").viewer)
    assert interface_of(bridge).engine.admission.open == 1
    del pieces
    gc.collect()
    until_in_thread(lambda: interface_of(bridge).engine.admission.open == 0)


# ---------------------------------------------------------------------------- closing


def test_closing_ends_the_thread_and_everything_in_it(upstreams: UpstreamsThread) -> None:
    """Descriptors, connections, streams of workers; the bridge may be used again after."""
    bridge = Bridge(lambda: Engine(Settings(feeds=feeds(upstreams))))
    before = descriptors_before()
    for _ in range(3):
        pieces = drive_in_thread(stream(bridge, "never").viewer)
        next(pieces)
        rest: list[bytes] = []
        worker = threading.Thread(target=rest.extend, args=(pieces,), daemon=True)
        worker.start()
        bridge.close()
        bridge.close()
        worker.join(PATIENCE)
        assert b'"reason":"shutdown"' in b"".join(rest)
        assert not engine_threads()
    upstreams.wait_idle()
    until_in_thread(lambda: descriptors() <= before)


def test_a_bridge_without_an_engine_closes_at_once() -> None:
    """Nothing is started for it."""
    Bridge(lambda: Engine(Settings())).close()
    assert not engine_threads()


def test_a_stream_that_is_left_after_the_end_leaves_nothing(upstreams: UpstreamsThread) -> None:
    """Its watch was closed with the engine: the worker could not do it any more."""
    bridge = Bridge(lambda: Engine(Settings(feeds=feeds(upstreams))))
    server, client = socket.socketpair()
    with server, client:
        before = descriptors_before()
        pieces = drive_in_thread(
            stream(bridge, "never", watch=partial(SocketWatch, server.fileno())).viewer
        )
        next(pieces)
        bridge.close()
        assert descriptors() <= before + 1  # the connection's other end, in the upstreams' thread
        assert b'"event":"done"' in b"".join(pieces)


def test_no_call_is_lost_when_the_bridge_closes() -> None:
    """Each returns, is cancelled, or starts an engine anew: nobody waits for ever."""
    bridge = Bridge(lambda: Engine(Settings()))
    ends: list[str] = []
    stop = threading.Event()

    async def work(interface: Interface, turns: int) -> str:
        for _ in range(turns):
            await asyncio.sleep(0)
        return "returned"

    def ask() -> None:
        while not stop.is_set():
            try:
                ends.append(bridge.call(work, random.randrange(20)))
            except asyncio.CancelledError:
                ends.append("cancelled")

    workers = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
    for worker in workers:
        worker.start()
    for _ in range(40):
        time.sleep(0.005)
        bridge.close()
    stop.set()
    for worker in workers:
        worker.join(PATIENCE)
    assert not any(worker.is_alive() for worker in workers)
    assert "returned" in ends
    bridge.close()


# ------------------------------------------------------------------------------- forks

FORKING = """
import os, sys, threading
from streaming.core.feed import Feed, Upstream
from streaming.core.message import Request
from streaming.core.settings import Settings
from streaming.engine.bridge import Bridge, drive_in_thread
from streaming.engine.engine import Engine

base = sys.argv[1]
feed = Feed("it", upstreams={"it": Upstream(url=base + "/json?delay=0.2")})
bridge = Bridge(lambda: Engine(Settings(feeds={"it": feed})))

def read(pieces):
    return b"".join(pieces)

def start():
    request = Request(method="GET", path={"feed": "it"}, query=(("format", "ndjson"),))
    return drive_in_thread(bridge.answer("read_feed", request, watch=None).viewer)

read(start())  # a fork in the middle of an import breaks the import, in any program
mine = start()
head = next(mine)
child = os.fork()
body = head + read(mine) if child else read(start())
assert body.count(b'"event":"result"') == 1, body
assert [t.name for t in threading.enumerate()].count("fanstream-engine") == 1
bridge.close()
if child:
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    assert bridge.answer("read_health", Request(method="GET"), watch=None).status == 200
    print("both")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_starts_an_engine_of_its_own(upstreams: UpstreamsThread) -> None:
    """While its parent's goes on with the stream that it was in the middle of."""
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", FORKING]
    ran = subprocess.run(
        [*command, upstreams.base_url], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("both\n", "", 0)


EXITING = """
import sys
from streaming.core.message import Request
from streaming.core.settings import Settings
from streaming.engine.bridge import Bridge
from streaming.engine.engine import Engine

def make_engine():
    engine = Engine(Settings())
    aclose = engine.aclose
    async def say_and_close():
        await aclose()
        print("closed")
    engine.aclose = say_and_close
    return engine

Bridge(make_engine).answer("read_health", Request(method="GET"), watch=None)
"""


def test_the_engine_ends_with_its_process() -> None:
    """In order, and without a word on standard error."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", EXITING],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("closed\n", "", 0)


# -------------------------------------------------------------------------- own streams


def test_a_stream_of_ones_own_is_opened_from_a_thread(bridge: Bridge) -> None:
    """And filled by an async generator on the engine's loop."""

    async def items() -> Any:
        yield threading.current_thread().name

    reply = bridge.open_own(Request(method="GET"), watch=None)
    assert isinstance(reply, OwnStreamReply)
    reply.run(items())
    assert b"data: fanstream-engine" in b"".join(drive_in_thread(reply.viewer))
