"""What a process holds, and that it ends in order: on time, with a last word, and nothing left."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from streaming.core.errors_request import Draining
from streaming.core.feed import Feed, Upstream
from streaming.core.message import Request
from streaming.core.settings import Settings
from streaming.engine import engine as engine_module
from streaming.engine.driver import drive
from streaming.engine.engine import END_MARGIN, Engine
from streaming.engine.own_stream import OwnStreamReply, answer_own
from streaming.engine.run import Run
from streaming.engine.streams import Place, StreamReply, open_stream
from streaming.engine.transport import Transport
from streaming.engine.viewer import Viewer
from tests.fan_out import PATIENCE, at, done, ended, engine_of, outcomes, start, table_of, until
from tests.upstreams import Upstreams

GET = Request(method="GET")


def the_feed(upstreams: Upstreams, path: str, **options: Any) -> Feed:
    return Feed("it", upstreams={"it": Upstream(url=upstreams.base_url + path)}, **options)


async def view(engine: Engine, run: Run) -> "asyncio.Task[bytes]":
    """Read a run as a client that takes everything at once."""
    reply = await open_stream(engine, GET, at(Place(run)), format="sse")
    assert isinstance(reply, StreamReply)
    return asyncio.create_task(read(reply.viewer))


async def read(viewer: Viewer) -> bytes:
    return b"".join([piece async for piece in drive(viewer)])


# ------------------------------------------------------------------------- drain


async def test_runs_may_finish_while_it_drains(upstreams: Upstreams) -> None:
    """Nothing new starts meanwhile, and it is over as soon as they are."""
    async with engine_of(drain_timeout=30.0) as engine:
        run = await start(engine.runs, the_feed(upstreams, "/json?delay=0.2"))
        viewing = await view(engine, run)
        draining = asyncio.create_task(engine.drain())
        await asyncio.sleep(0)
        with pytest.raises(Draining):
            engine.check_not_draining()
        async with asyncio.timeout(10):
            await draining
        assert b'"reason":"finished"' in await viewing
        assert done(run.log)["ok"] == 1


async def test_runs_that_do_not_finish_are_ended_in_time(upstreams: Upstreams) -> None:
    """With `cancelled` and `shutdown`, read by their viewers, and the upstream hung up on."""
    async with engine_of(drain_timeout=END_MARGIN + 0.3) as engine:
        run = await start(engine.runs, the_feed(upstreams, "/never"))
        viewing = await view(engine, run)
        await upstreams.wait_calls("/never")
        before = time.monotonic()
        await engine.drain()
        assert 0.25 <= time.monotonic() - before < END_MARGIN
        body = await viewing
        assert outcomes(run.log)["it"].data["code"] == "cancelled"
        assert b'"reason":"shutdown"' in body
        assert b"event: shutdown" not in body
        await upstreams.wait_closed_by_peer("/never")


async def test_a_stream_of_ones_own_is_told_at_once(upstreams: Upstreams) -> None:
    """It has no run that could finish; its client is told when to come back, while runs go on."""
    async with engine_of(drain_timeout=30.0) as engine:
        await start(engine.runs, the_feed(upstreams, "/never"))
        reply = await answer_own(engine, GET)
        assert isinstance(reply, OwnStreamReply)
        viewing = asyncio.create_task(read(reply.viewer))
        await asyncio.sleep(0.01)
        draining = asyncio.create_task(engine.drain())
        async with asyncio.timeout(10):
            assert b'"reason":"drain"' in await viewing
        assert not draining.done()
        assert (await answer_own(engine, GET)).status == 503
        draining.cancel()


async def test_a_client_that_takes_nothing_holds_up_nobody(
    upstreams: Upstreams, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drain is over after its time, says how many streams were left, and has cut them off."""
    monkeypatch.setattr(engine_module, "END_MARGIN", 0.2)

    async def take_one(pieces: AsyncGenerator[bytes, None]) -> None:
        await anext(pieces)
        await asyncio.Event().wait()

    async with engine_of(drain_timeout=0.4) as engine:
        run = await start(engine.runs, the_feed(upstreams, "/never"))
        reply = await open_stream(engine, GET, at(Place(run)), format="sse")
        assert isinstance(reply, StreamReply)
        pieces = drive(reply.viewer)
        taking = asyncio.create_task(take_one(pieces))
        async with asyncio.timeout(PATIENCE):
            await engine.drain()
        assert "1 streams did not end in time" in caplog.text
        assert taking.cancelled()
        await pieces.aclose()


async def test_a_transport_that_does_not_let_go_holds_up_nobody(
    upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not end when it is cancelled is left behind."""
    let_go = asyncio.Event()

    class Clinging(Transport):
        async def open(self, call: Any, *, with_credentials: bool = True) -> Any:
            try:
                await asyncio.Event().wait()
            finally:
                await let_go.wait()

        async def aclose(self) -> None:
            pass

    monkeypatch.setattr(engine_module, "END_MARGIN", 0.2)
    monkeypatch.setattr(engine_module, "HttptoolsTransport", Clinging)
    async with engine_of(drain_timeout=0.2) as engine:
        run = await start(engine.runs, the_feed(upstreams, "/json"))
        viewing = await view(engine, run)
        await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            await engine.drain()
            assert b"event: shutdown" in await viewing
            await engine.aclose()
        assert not run.is_ended
    let_go.set()
    await ended(run)


async def test_a_second_drain_waits_for_the_first(upstreams: Upstreams) -> None:
    """Not for a time of its own: the server that asks again would end too early."""
    async with engine_of(drain_timeout=30.0) as engine:
        await start(engine.runs, the_feed(upstreams, "/json?delay=0.5", on_disconnect="detach"))
        first, second = (asyncio.create_task(engine.drain()) for _ in range(2))
        await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
        assert first.done()
        assert table_of(engine)._by_id
        await second


async def test_a_drain_with_nothing_to_do_is_over_at_once() -> None:
    """Also one that may take no time at all, and one after the end."""
    for drain_timeout in (0.0, 30.0):
        async with engine_of(drain_timeout=drain_timeout) as engine, asyncio.timeout(5):
            await engine.drain()
            await engine.aclose()
            await engine.drain()


# -------------------------------------------------------------------------- close


async def test_closing_ends_everything(upstreams: Upstreams) -> None:
    """Runs, streams, tasks, timers, connections; what is read of a stream ends in order."""
    before = asyncio.all_tasks()
    async with engine_of() as engine:
        feed = the_feed(upstreams, "/never", keep=300.0)
        runs = [await start(engine.runs, feed) for _ in range(3)]
        viewing = [await view(engine, run) for run in runs]
        own = await answer_own(engine, GET)
        assert isinstance(own, OwnStreamReply)
        await upstreams.wait_calls("/never", 3)
    assert {done(run.log)["reason"] for run in runs} == {"shutdown"}
    assert all(b"event: done" in body for body in await asyncio.gather(*viewing))
    assert engine.admission.open == 0
    assert not engine._viewers
    assert not table_of(engine)._by_id
    await upstreams.wait_idle()
    await until(lambda: asyncio.all_tasks() == before)


async def test_a_stream_that_nobody_drives_is_closed_too(upstreams: Upstreams) -> None:
    """Its worker's thread could not do it any more once the loop has ended."""
    async with engine_of() as engine:
        run = await start(engine.runs, the_feed(upstreams, "/never"))
        reply = await open_stream(engine, GET, at(Place(run)), format="sse")
        assert isinstance(reply, StreamReply)
        closed: list[bool] = []
        reply.viewer.on_close(lambda: closed.append(True))
    assert closed == [True]


async def test_a_client_of_ones_own_carries_the_calls_and_stays_open(
    upstreams: Upstreams,
) -> None:
    """With what it adds, and whoever made it closes it."""
    feed = the_feed(upstreams, "/echo")
    async with httpx.AsyncClient(headers={"X-Mine": "yes"}) as client:
        engine = Engine(Settings(feeds={"it": feed}), client=client)
        run = await start(engine.runs, feed)
        await ended(run)
        await engine.aclose()
        assert upstreams.requests[0].header("x-mine") == "yes"
        assert not client.is_closed


# ------------------------------------------------------------------------- sweep


class Stuck(Viewer):
    """A viewer whose client takes nothing."""

    def __init__(self) -> None:
        self.aborted = asyncio.Event()
        self.writing_since = time.monotonic()
        self.abort = self.aborted.set

    def on_close(self, closer: object) -> None:
        pass

    def shut_down(self, reason: object) -> None:
        pass

    def close_on_loop(self) -> None:
        pass


async def test_a_client_that_takes_nothing_is_broken_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After `send_timeout`; one that is between two writes is left alone."""
    monkeypatch.setattr(engine_module, "SWEEP_INTERVAL", 0.01)
    caplog.set_level(logging.INFO, logger="fanstream")
    async with engine_of(send_timeout=0.2) as engine:
        stuck, waiting = Stuck(), Stuck()
        waiting.writing_since = None
        engine.add(stuck)
        engine.add(waiting)
        async with asyncio.timeout(PATIENCE):
            await stuck.aborted.wait()
        assert time.monotonic() - (stuck.writing_since or 0) >= 0.2
        assert not waiting.aborted.is_set()
        assert "nothing was taken for 0.2 s" in caplog.text


async def test_a_write_that_ends_during_the_sweep_does_not_end_the_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread may take `writing_since` back between any two looks at it."""
    monkeypatch.setattr(engine_module, "SWEEP_INTERVAL", 0.01)

    class Finishing(Stuck):
        @property
        def writing_since(self) -> float | None:
            self.looks += 1
            return 0.0 if self.looks % 2 else None

        @writing_since.setter
        def writing_since(self, value: float | None) -> None:
            self.looks = getattr(self, "looks", 0)

    async with engine_of(send_timeout=1.0) as engine:
        finishing = Finishing()
        engine.add(finishing)
        await until(lambda: finishing.looks > 6)


async def test_a_stream_that_cannot_be_broken_off_stands_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are, at a sweep and at a drain, and it is said."""
    monkeypatch.setattr(engine_module, "SWEEP_INTERVAL", 0.01)

    def refuse() -> None:
        raise OSError("no descriptors")

    async with engine_of(send_timeout=0.05, drain_timeout=0.0) as engine:
        for _ in range(3):
            unwilling, stuck = Stuck(), Stuck()
            unwilling.abort = refuse
            engine.add(unwilling)
            engine.add(stuck)
            async with asyncio.timeout(PATIENCE):
                await stuck.aborted.wait()
            assert "could not be broken off" in caplog.text
            stuck.aborted.clear()
        await engine.drain()
        assert stuck.aborted.is_set()


# ----------------------------------------------------------------------- the rest


async def test_streams_that_opened_together_do_not_end_together() -> None:
    """From 80 to 100 % of `max_stream_age`."""
    async with engine_of(max_stream_age=100.0) as engine:
        ages = [engine.expiry() - time.monotonic() for _ in range(200)]
    assert min(ages) >= 79
    assert max(ages) <= 100
    assert max(ages) - min(ages) > 5


async def test_an_old_stream_ends(upstreams: Upstreams) -> None:
    """Its client is told to come back, and the run goes on."""
    async with engine_of(max_stream_age=0.05) as engine:
        run = await start(engine.runs, the_feed(upstreams, "/never"))
        assert b'"reason":"max_age"' in await (await view(engine, run))
        assert not run.is_stopping


async def test_a_slow_viewer_is_closed_alone(upstreams: Upstreams) -> None:
    """Beyond `max_lag_events`; another that reads gets everything."""
    async with engine_of(max_lag_events=20) as engine:
        upstream = Upstream(url=upstreams.base_url + "/lines?lines=60&delay=0.002", read="lines")
        run = await start(engine.runs, Feed("it", upstreams={"it": upstream}))
        reading = await view(engine, run)
        slow = await open_stream(engine, GET, at(Place(run)), format="sse")
        assert isinstance(slow, StreamReply)
        pieces = drive(slow.viewer)
        await anext(pieces)
        await ended(run)
        assert b'"reason":"lagging"' in b"".join([piece async for piece in pieces])
        assert (await reading).count(b"event: chunk") == 60


async def test_what_an_engine_owns_ends_with_it() -> None:
    """Cancelled and awaited, whatever it does about that."""
    ends: list[str] = []

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ends.append("ended")

    async with engine_of() as engine:
        engine.own(asyncio.create_task(linger()))
        await asyncio.sleep(0)
    assert ends == ["ended"]
