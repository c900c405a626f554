"""After hundreds of streams, however each ended, a process holds what it held before the first."""

import asyncio
import gc
import logging
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from streaming.core.entry import Entry
from streaming.core.feed import Feed, Upstream
from streaming.core.message import Request
from streaming.core.settings import LogSettings, Settings
from streaming.engine.bridge import Bridge, drive_in_thread
from streaming.engine.driver import drive
from streaming.engine.engine import Engine
from streaming.engine.execution import Execution
from streaming.engine.interface import Interface
from streaming.engine.log_memory import MemoryLog
from streaming.engine.log_stream import StreamLog
from streaming.engine.own_stream import OwnStreamReply, answer_own
from streaming.engine.run import Run
from streaming.engine.socket_watch import SocketWatch
from streaming.engine.streams import StreamReply
from streaming.engine.upstream_call import UpstreamCall
from streaming.engine.viewer import Viewer
from tests.fan_out import PATIENCE, descriptors, table_of, until, until_in_thread
from tests.upstreams import Upstreams, UpstreamsThread

# Streams of one test; `make soak` runs many more.
CYCLES = pytest.mark.parametrize("cycles", [200, pytest.param(10_000, marks=pytest.mark.soak)])
HELD = (Entry, Execution, MemoryLog, Run, SocketWatch, StreamLog, UpstreamCall, Viewer)
PATHS = {
    "good": ("/json", "json"),
    "slow": ("/json?delay=0.05", "json"),
    "lines": ("/lines?lines=40&delay=0.001", "lines"),
    "endless": ("/endless?bytes=2000&delay=0.001", "stream"),
    "never": ("/never", "json"),
    "bad": ("/hangup", "json"),
}


def settings_for(base_url: str) -> Settings:
    feeds = [
        Feed(
            policy,
            on_disconnect=policy,
            linger=0.01,
            keep=0.01,
            timeout=2.0,
            share=policy == "linger",
            upstreams={
                name: Upstream(url=base_url + path, read=read, timeout=0.3, backoff=0.0)
                for name, (path, read) in PATHS.items()
            },
        )
        for policy in ("cancel", "linger", "detach")
    ]
    return Settings(log=LogSettings(max_events=200), feeds={feed.name: feed for feed in feeds})


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What is logged would be kept for the report, with the exceptions and all that they hold."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def held() -> Counter[str]:
    """How many objects there are that a stream is made of."""
    gc.collect()
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, HELD))


def request_of(rolls: random.Random) -> Request:
    feed = rolls.choice(["cancel", "linger", "detach"])
    format = rolls.choice(["sse", "ndjson", "text", "json"])
    method = rolls.choice(["GET", "GET", "GET", "HEAD"])
    return Request(method=method, path={"feed": feed}, query=(("format", format),))


async def own_items(rolls: random.Random) -> Any:
    for n in range(rolls.randrange(400)):
        yield n
    if rolls.random() < 0.3:
        raise LookupError
    if rolls.random() < 0.3:
        await asyncio.sleep(0.5)


async def view(engine: Engine, interface: Interface, rolls: random.Random) -> None:
    """Open a stream, read a part of it or all, and leave in one way or another."""
    if rolls.random() < 0.3:
        reply = await answer_own(engine, Request(method="GET"))
        assert isinstance(reply, OwnStreamReply)
        reply.run(own_items(rolls) if rolls.random() < 0.7 else iter(range(50)))
    else:
        answer = await interface.answer("read_feed", request_of(rolls))
        if not isinstance(answer, StreamReply):
            return
        reply = answer
    pieces = drive(reply.viewer)
    with suppress(TimeoutError):
        async with asyncio.timeout(rolls.choice([0.0, 0.01, 0.1, 5.0])):
            for _ in range(rolls.randrange(30)):
                await anext(pieces, None)
    if rolls.random() < 0.5:
        await pieces.aclose()


@CYCLES
async def test_nothing_is_left_on_a_loop(upstreams: Upstreams, cycles: int) -> None:
    """Neither tasks, timers, sockets nor threads, nor anything that a stream was made of."""
    rolls = random.Random(1)
    before = held(), descriptors(), threading.active_count(), asyncio.all_tasks()
    engine = Engine(settings_for(upstreams.base_url))
    interface = Interface(engine)
    for _ in range(cycles // 20):
        views = [asyncio.create_task(view(engine, interface, rolls)) for _ in range(20)]
        for each in rolls.sample(views, 5):
            asyncio.get_running_loop().call_later(rolls.random() / 20, each.cancel)
        await asyncio.gather(*views, return_exceptions=True)
    del views, each
    gc.collect()
    await until(lambda: engine.admission.open == 0)
    await until(lambda: not table_of(engine)._by_id)
    assert table_of(engine).budget.used == 0
    assert len(engine._tasks) == 1
    await engine.aclose()
    await upstreams.wait_idle()
    await until(lambda: asyncio.all_tasks() == before[3])
    await until(lambda: threading.active_count() == before[2])
    await until(lambda: descriptors() <= before[1])
    assert timers() == []
    # The loop itself holds what it had last to do until it has something else.
    engine = interface = None  # type: ignore[assignment]
    await until(lambda: held() == before[0])


def timers() -> list[asyncio.TimerHandle]:
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return [timer for timer in scheduled if not timer.cancelled()]


@pytest.fixture(scope="module")
def upstreams_thread() -> Iterator[UpstreamsThread]:
    with UpstreamsThread() as upstreams:
        yield upstreams


def serve(bridge: Bridge, rolls: random.Random) -> None:
    """Answer one request as a WSGI server does, to a client that leaves when it likes."""
    server, client = local_connection()
    with server, client, suppress(OSError):
        watch = partial(SocketWatch, server.fileno())
        reply: Any
        if rolls.random() < 0.3:
            reply = bridge.open_own(Request(method="GET"), watch=watch)
            reply.run(own_items(rolls))
            pieces = drive_in_thread(reply.viewer)
        else:
            reply = bridge.answer("read_feed", request_of(rolls), watch=watch)
            if not isinstance(reply, StreamReply):
                return
            pieces = drive_in_thread(reply.viewer)
        leave_at = rolls.randrange(20)
        for n, piece in enumerate(pieces):
            server.sendall(piece)
            client.recv(1 << 20)
            if n == leave_at:
                leave(client, pieces, rolls)


def local_connection() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        return listening.accept()[0], client


def leave(client: socket.socket, pieces: Any, rolls: random.Random) -> None:
    ways: list[Callable[[], object]] = [client.close, pieces.close, lambda: None]
    rolls.choice(ways)()


@CYCLES
def test_nothing_is_left_in_workers(upstreams_thread: UpstreamsThread, cycles: int) -> None:
    """The same with an engine in its thread, and clients on real sockets."""
    rolls = random.Random(2)
    before = held(), descriptors(), threading.active_count()
    bridge = Bridge(lambda: Engine(settings_for(upstreams_thread.base_url)))
    with ThreadPoolExecutor(10) as workers:
        jobs = [workers.submit(serve, bridge, rolls) for _ in range(cycles)]
        for job in jobs:
            job.result(PATIENCE * cycles / 200)
    del jobs, job

    async def is_clean(interface: Interface) -> bool:
        engine = interface.engine
        gc.collect()
        table = table_of(engine)
        return not (engine.admission.open or table._by_id or table.budget.used)

    until_in_thread(lambda: bridge.call(is_clean))
    bridge.close()
    upstreams_thread.wait_idle()
    until_in_thread(lambda: threading.active_count() == before[2])
    until_in_thread(lambda: descriptors() <= before[1])
    until_in_thread(lambda: held() == before[0])
