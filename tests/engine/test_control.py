"""The parent's word: an engine drains when it is told, or when nobody is left to tell it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from streaming.core.feed import Feed, Upstream
from streaming.core.settings import ServerSettings, Settings
from streaming.engine.control import Ending, follow_control
from streaming.engine.engine import Engine
from tests.fan_out import PATIENCE, done, start, until
from tests.upstreams import Upstreams


@pytest.fixture
def path() -> Iterator[str]:
    """A socket's path, which may not be long."""
    with tempfile.TemporaryDirectory(prefix="fs-") as folder:
        yield str(Path(folder, "control"))


class Parent:
    """Waits for engines, as the supervisor does."""

    def __init__(self) -> None:
        self.engine: asyncio.Future[asyncio.StreamWriter] = asyncio.Future()
        self.ended = asyncio.Event()

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.engine.set_result(writer)
        await reader.read()
        self.ended.set()
        writer.close()


@asynccontextmanager
async def listening(path: str) -> AsyncIterator[Parent]:
    parent = Parent()
    server = await asyncio.start_unix_server(parent.receive, path)
    async with asyncio.timeout(PATIENCE):
        yield parent
        await parent.ended.wait()
    server.close()


@pytest.mark.parametrize("word", [b"d", b"drain", None, "abort"])
async def test_a_byte_or_the_end_of_file_drains(path: str, word: bytes | str | None) -> None:
    """And the connection is closed once that is over, not before."""
    drained = asyncio.Event()
    may_end = asyncio.Event()

    async def drain() -> None:
        drained.set()
        await may_end.wait()

    async with listening(path) as parent:
        following = asyncio.create_task(follow_control(path, drain=drain))
        writer = await parent.engine
        await asyncio.sleep(0.02)
        assert not drained.is_set()
        if isinstance(word, bytes):
            writer.write(word)
        elif word is None:
            writer.write_eof()
        else:
            writer.transport.abort()
        await drained.wait()
        assert word == "abort" or not parent.ended.is_set()
        may_end.set()
        await following


async def test_a_drain_that_fails_lets_the_parent_go_on(path: str) -> None:
    """It waits for the connection's end, which comes in any case."""

    async def drain() -> None:
        raise LookupError

    async with listening(path) as parent:
        following = asyncio.create_task(follow_control(path, drain=drain))
        (await parent.engine).write(b"d")
        with pytest.raises(LookupError):
            await following


async def test_an_engine_without_a_parent_says_so(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And works on."""

    async def drain() -> None:
        raise AssertionError("nobody has said so")

    await follow_control(path, drain=drain)
    assert "no word from the parent" in caplog.text


async def test_an_engine_drains_when_its_parent_says_so(path: str, upstreams: Upstreams) -> None:
    """Its live runs may finish; then the parent hears of the end."""
    feed = Feed("it", upstreams={"it": Upstream(url=upstreams.base_url + "/json?delay=0.2")})
    async with listening(path) as parent:
        engine = Engine(Settings(feeds={"it": feed}), control=path)
        run = await start(engine.runs, feed)
        (await parent.engine).write(b"d")
        await parent.ended.wait()
        assert done(run.log)["reason"] == "finished"
        assert engine.is_draining
        await engine.aclose()


async def test_an_engine_that_is_closed_leaves_its_parent(path: str) -> None:
    """Without a drain."""
    async with listening(path) as parent:
        engine = Engine(Settings(), control=path)
        await parent.engine
        await engine.aclose()


# ------------------------------------------------------------ the end of this very process


class Process:
    """One whose end begins when a test says so."""

    def __init__(self) -> None:
        self.is_ending = False
        self.ending = Ending(lambda: self.is_ending)


async def test_an_engine_drains_when_its_process_ends(upstreams: Upstreams) -> None:
    """Its live runs may finish; before that nothing was refused."""
    feed = Feed("it", upstreams={"it": Upstream(url=upstreams.base_url + "/json?delay=0.2")})
    process = Process()
    engine = Engine(Settings(feeds={"it": feed}), ending=process.ending)
    run = await start(engine.runs, feed)
    assert not engine.is_draining
    process.is_ending = True
    async with asyncio.timeout(PATIENCE):
        await run.wait_ended()
        assert engine.is_draining
        await engine.drain()
    assert done(run.log)["reason"] == "finished"
    await engine.aclose()


async def test_a_hurried_drain_waits_for_no_run(upstreams: Upstreams) -> None:
    """Whenever the word to hurry comes; the last words are said all the same."""
    feed = Feed("it", upstreams={"it": Upstream(url=upstreams.base_url + "/never")})
    process = Process()
    server = ServerSettings(drain_timeout=600.0)
    engine = Engine(Settings(server=server, feeds={"it": feed}), ending=process.ending)
    run = await start(engine.runs, feed)
    process.is_ending = True
    async with asyncio.timeout(PATIENCE):
        await until(lambda: engine.is_draining)
        process.ending.hurry()
        await engine.drain()
    assert done(run.log)["reason"] == "shutdown"
    await engine.aclose()


@pytest.mark.parametrize("has_begun", [True, False])
async def test_closing_lets_a_drain_finish_that_is_due(
    upstreams: Upstreams, has_begun: bool
) -> None:
    """A process may be done with its requests before anybody has looked at its end."""
    feed = Feed("it", upstreams={"it": Upstream(url=upstreams.base_url + "/json?delay=0.2")})
    process = Process()
    engine = Engine(Settings(feeds={"it": feed}), ending=process.ending)
    run = await start(engine.runs, feed)
    await upstreams.wait_calls("/json")
    process.is_ending = has_begun
    async with asyncio.timeout(PATIENCE):
        await engine.aclose()
    # Closed without that, it ends everything at once.
    assert done(run.log)["reason"] == ("finished" if has_begun else "shutdown")


async def test_a_drain_waits_for_what_is_done_after_a_body(upstreams: Upstreams) -> None:
    """A response counts until it is closed, and no longer than it is there."""

    class Response:
        pass

    engine = Engine(Settings())
    held, dropped = Response(), Response()
    close = engine.expect_close(held)
    engine.expect_close(dropped)
    del dropped
    draining = asyncio.create_task(engine.drain())
    await asyncio.sleep(0.1)
    assert not draining.done()
    close()
    async with asyncio.timeout(PATIENCE):
        await draining
    await engine.aclose()
