"""A client's socket: that it has gone is noticed, and nothing else is taken for it."""

import asyncio
import errno
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import pytest

from streaming.core.body import BodyLimits, StreamBody
from streaming.core.wire import WIRES
from streaming.engine import socket_watch
from streaming.engine.alarms import Alarms
from streaming.engine.bridge import drive_in_thread
from streaming.engine.log_memory import LogBudget, MemoryLog
from streaming.engine.loop import make_loop
from streaming.engine.socket_watch import SocketWatch
from streaming.engine.viewer import Viewer, do_nothing
from tests.fan_out import PATIENCE, descriptors, descriptors_before, until

SEND_TIMEOUT = 30.0
LIMITS = BodyLimits(retry_ms=1, ping_interval=60.0, max_lag_events=1000, max_lag_bytes=1 << 30)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere beats tell")


@dataclass
class Connection:
    """A client and the server that writes a stream to it from a thread, watched by the loop."""

    server: socket.socket
    client: socket.socket
    log: MemoryLog = field(init=False)
    viewer: Viewer = field(init=False)
    watch: SocketWatch = field(init=False)

    @classmethod
    def over_tcp(cls) -> Self:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            client = socket.create_connection(listening.getsockname())
            server, _ = listening.accept()
        client.settimeout(PATIENCE)
        return cls(server, client)

    def watched(self) -> Self:
        """Open the viewer and the watch; on the loop."""
        budget = LogBudget(max_bytes=1 << 30, make_room=lambda size: None)
        self.log = MemoryLog("run", budget=budget, max_events=1000, max_bytes=1 << 30)
        body = StreamBody(self.log, wire=WIRES["ndjson"], limits=LIMITS, now=time.monotonic())
        self.viewer = Viewer(body, log=self.log, alarms=Alarms())
        self.watch = SocketWatch(
            self.server.fileno(), viewer=self.viewer, send_timeout=SEND_TIMEOUT
        )
        self.viewer.on_close(self.watch.close)
        return self

    def serve(self, *, late: float = 0.0) -> "asyncio.Task[None]":
        """Write the stream, each piece so many seconds late, until it ends or cannot be written."""

        def write() -> None:
            with suppress(OSError):
                for piece in drive_in_thread(self.viewer):
                    time.sleep(late)
                    self.server.sendall(piece)

        return asyncio.create_task(asyncio.to_thread(write))

    async def heard(self) -> bytes:
        """What the client reads next."""
        return await asyncio.to_thread(self.client.recv, 1000)

    def reset(self) -> None:
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()

    @property
    def is_watched(self) -> bool:
        selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
        return self.watch._socket.fileno() in selector.get_map()


@pytest.fixture
def connection() -> Iterator[Connection]:
    connection = Connection.over_tcp()
    yield connection
    connection.server.close()
    connection.client.close()


async def within_patience(task: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(PATIENCE):
        await task


# --------------------------------------------------------------------------- gone


@linux_only
async def test_a_client_that_closes_ends_the_stream(connection: Connection) -> None:
    """Long before the next beat, and its viewer is closed."""
    serving = connection.watched().serve()
    await connection.heard()
    connection.client.close()
    await within_patience(serving)
    await until(lambda: connection.watch._socket.fileno() == -1)


async def test_a_client_that_resets_ends_the_stream(connection: Connection) -> None:
    """Without another byte, and without the loop turning in circles."""
    serving = connection.watched().serve()
    await connection.heard()
    connection.reset()
    await within_patience(serving)


@linux_only
async def test_a_client_far_away_is_noticed_too(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer to the beat comes after the first look at the connection."""
    monkeypatch.setattr(socket_watch, "CONFIRM_AFTER", (0.01,))
    serving = connection.watched().serve(late=0.1)
    await connection.heard()
    connection.client.close()
    await within_patience(serving)


async def test_a_client_that_reads_on_is_noticed_when_it_leaves(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Having closed its sending half it says nothing more, but beats are written to it."""
    monkeypatch.setattr(socket_watch, "CONFIRM_AFTER", (0.01,))
    monkeypatch.setattr(socket_watch, "BEAT_INTERVAL", 0.05)
    serving = connection.watched().serve()
    connection.client.shutdown(socket.SHUT_WR)
    heard = b""
    while heard.count(b"ping") < 3:
        heard += await connection.heard()
    connection.client.close()
    await within_patience(serving)


@linux_only
async def test_a_client_that_sent_a_request_ahead_is_noticed_when_it_leaves(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of file is behind bytes that are the server's to read."""
    monkeypatch.setattr(socket_watch, "BEAT_INTERVAL", 0.05)
    monkeypatch.setattr(socket_watch, "CONFIRM_AFTER", (0.01,))
    serving = connection.watched().serve()
    connection.client.sendall(b"GET / HTTP/1.1\r\n")
    await connection.heard()
    await until(lambda: not connection.is_watched)
    connection.client.close()
    await within_patience(serving)


# ---------------------------------------------------------------------- not gone


async def test_a_client_that_closes_its_sending_half_reads_on(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is sent a beat, and everything after that."""
    monkeypatch.setattr(socket_watch, "CONFIRM_AFTER", (0.01,))
    serving = connection.watched().serve()
    connection.client.shutdown(socket.SHUT_WR)
    stream = connection.client.makefile("rb")
    beat = await asyncio.to_thread(lambda: [stream.readline(), stream.readline()][1])
    assert b"ping" in beat
    await asyncio.sleep(0.1)
    connection.log.append("chunk", {"data": "still here"})
    assert b"still here" in await asyncio.to_thread(stream.readline)
    connection.log.append("done", {})
    await within_patience(serving)
    stream.close()


async def test_a_request_that_is_sent_ahead_is_left_to_the_server(connection: Connection) -> None:
    """It is not read, and the loop does not turn in circles over it."""
    connection.watched()
    connection.client.sendall(b"GET / HTTP/1.1\r\n")
    await until(lambda: not connection.is_watched)
    assert connection.viewer.step(time.monotonic())
    assert connection.server.recv(3, socket.MSG_PEEK) == b"GET"
    connection.viewer.close_on_loop()


async def test_a_request_that_is_sent_ahead_ends_nothing(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client is looked at again and again, and neither taken for gone nor sent beats."""
    monkeypatch.setattr(socket_watch, "BEAT_INTERVAL", 0.01)
    serving = connection.watched().serve()
    connection.client.sendall(b"GET / HTTP/1.1\r\n")
    await connection.heard()
    await asyncio.sleep(0.1)
    connection.log.append("done", {})
    assert b"ping" not in await connection.heard()
    await within_patience(serving)


async def test_the_end_is_seen_once(connection: Connection) -> None:
    """A socket at its end is always readable: the watch looks no further."""
    connection.watched()
    connection.client.shutdown(socket.SHUT_WR)
    await until(lambda: not connection.is_watched)
    connection.viewer.close_on_loop()


async def test_a_local_socket_is_told_by_its_beat() -> None:
    """Behind a proxy on the same machine, whose connections have no state that could be asked."""
    server, client = socket.socketpair()
    client.settimeout(PATIENCE)
    with server:
        connection = Connection(server, client).watched()
        serving = connection.serve()
        await connection.heard()
        client.close()
        await within_patience(serving)


# --------------------------------------------------------------- what it leaves alone


async def test_nothing_is_left_of_a_watch(connection: Connection) -> None:
    """Neither descriptors nor readers nor timers, whatever it was in the middle of."""
    before = descriptors_before()
    for n in range(50):
        connection.watched()
        if n == 10:
            connection.client.shutdown(socket.SHUT_WR)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        connection.viewer.close_on_loop()
        connection.watch.close()
        connection.viewer.abort()
    assert descriptors() <= before


async def test_the_server_may_close_its_socket_first(connection: Connection) -> None:
    """And another may get its number."""
    connection.watched()
    number = connection.server.fileno()
    connection.server.close()
    reused = [os.dup(1) for _ in range(5)]
    assert number in reused
    connection.viewer.close_on_loop()
    for each in reused:
        os.close(each)


@pytest.mark.parametrize("is_blocking", [True, False])
async def test_how_the_server_waits_is_not_changed(
    connection: Connection, is_blocking: bool
) -> None:
    """Not even where the process has a default timeout, which new sockets take on."""
    connection.server.setblocking(is_blocking)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(5)
    try:
        connection.watched()
    finally:
        socket.setdefaulttimeout(before)
    assert os.get_blocking(connection.server.fileno()) is is_blocking
    assert connection.watch._socket.gettimeout() is None
    connection.viewer.close_on_loop()


@pytest.mark.parametrize("is_blocking", [True, False])
def test_how_the_server_waits_is_not_changed_by_the_loop(
    connection: Connection, is_blocking: bool
) -> None:
    """The loop of the bridge may be uvloop, which makes what it watches non-blocking."""
    connection.server.setblocking(is_blocking)

    async def watch() -> bool:
        connection.watched()
        await asyncio.sleep(0)
        connection.viewer.close_on_loop()
        return os.get_blocking(connection.server.fileno())

    with asyncio.Runner(loop_factory=make_loop) as runner:
        assert runner.run(watch()) is is_blocking


@pytest.mark.parametrize("make", [lambda: -1, lambda: os.open(os.devnull, os.O_RDONLY)])
async def test_what_is_no_socket_cannot_be_watched(
    connection: Connection, make: Callable[[], int]
) -> None:
    """Such as one that the server has closed meanwhile; no descriptor is left of it."""
    connection.watched()
    number = make()
    before = descriptors_before()
    with pytest.raises(OSError):  # noqa: PT011 - which one is the system's to say
        SocketWatch(number, viewer=connection.viewer, send_timeout=SEND_TIMEOUT)
    assert descriptors() <= before
    connection.viewer.close_on_loop()
    if number >= 0:
        os.close(number)


@pytest.mark.parametrize("failing", ["add_reader", "set_blocking"])
async def test_a_watch_that_cannot_begin_leaves_nothing(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Its duplicate has no owner but the watch that never was; nor is anything watched."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop if failing == "add_reader" else os, failing, fail)
    before = descriptors_before()
    watched = len(loop._selector.get_map())  # type: ignore[attr-defined]
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as caught:
        connection.watched()
    assert (descriptors(), caught.value.errno) == (before, errno.ENOSPC)
    assert len(loop._selector.get_map()) == watched  # type: ignore[attr-defined]
    assert connection.viewer.abort is do_nothing
    connection.viewer.close_on_loop()


async def test_a_thread_that_is_stuck_in_sending_comes_back(connection: Connection) -> None:
    """The means to break off a client that takes nothing."""
    connection.watched()

    def send_for_ever() -> None:
        with suppress(OSError):
            while True:
                connection.server.sendall(b"x" * 1_000_000)

    sending = asyncio.create_task(asyncio.to_thread(send_for_ever))
    await asyncio.sleep(0.2)
    assert not sending.done()
    connection.viewer.abort()
    await within_patience(sending)
    connection.viewer.close_on_loop()
