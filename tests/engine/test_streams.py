"""Opening a stream: its slot, its place, and that nothing is held by one that did not open."""

from collections.abc import AsyncGenerator

import pytest

from streaming.core import codec
from streaming.core.errors_request import (
    InvalidParameter,
    RequestError,
    TooManyRuns,
    TooManyStreams,
    TooManyStreamsPerAddress,
)
from streaming.core.event import Event
from streaming.core.feed import Feed, Upstream
from streaming.core.message import Reply, Request
from streaming.engine.driver import drive
from streaming.engine.engine import Engine
from streaming.engine.run import Run
from streaming.engine.streams import Place, StreamReply, open_state, open_stream
from tests.fan_out import at, ended, engine_of, start
from tests.upstreams import Upstreams

GET = Request(method="GET")


def the_feed(upstreams: Upstreams, path: str = "/json") -> Feed:
    return Feed(
        "it", on_disconnect="cancel", upstreams={"it": Upstream(url=upstreams.base_url + path)}
    )


async def opened(
    engine: Engine, run: Run, *, request: Request = GET, format: str = "ndjson", after: int = 0
) -> StreamReply:
    reply = await open_stream(engine, request, at(Place(run, after)), format=format)
    assert isinstance(reply, StreamReply)
    return reply


async def read(reply: StreamReply) -> bytes:
    return b"".join([piece async for piece in drive(reply.viewer)])


@pytest.mark.parametrize(
    ("format", "media_type", "last"),
    [
        ("sse", "text/event-stream", b"event: done\n"),
        ("ndjson", "application/x-ndjson", b'{"event":"done"'),
        ("text", "text/plain", b"done"),
        ("json", "application/json", b'"done":{"at":'),
    ],
)
async def test_a_stream_on_each_wire(
    upstreams: Upstreams, format: str, media_type: str, last: bytes
) -> None:
    """With the headers that keep proxies from holding or changing it, up to its end."""
    async with engine_of() as engine:
        run = await start(engine.runs, the_feed(upstreams))
        reply = await opened(engine, run, format=format)
        headers = dict(reply.headers)
        assert headers["Content-Type"].startswith(media_type)
        assert headers["Cache-Control"] == "no-cache, no-transform"
        assert (headers["X-Accel-Buffering"], headers["Vary"]) == ("no", "Accept")
        assert last in await read(reply)
        assert engine.admission.open == 0


async def test_a_stream_starts_after_what_its_client_has(upstreams: Upstreams) -> None:
    """And says first what it is told to say."""
    async with engine_of() as engine:
        run = await start(engine.runs, the_feed(upstreams))
        run.attach()
        await ended(run)
        place = Place(run, 1, opening=(Event("reset", {"reason": "unknown"}),))
        assert not place.is_at_end
        reply = await open_stream(engine, GET, at(place), format="sse")
        assert isinstance(reply, StreamReply)
        body = await read(reply)
        assert body.index(b"event: reset") < body.index(f"id: {run.id}-2".encode())
        assert b"event: start" not in body
        assert Place(run, 3).is_at_end


async def test_a_stream_holds_its_slot_and_its_run_until_it_is_closed(
    upstreams: Upstreams,
) -> None:
    """Then both are free, once."""
    async with engine_of(max_streams=1) as engine:
        run = await start(engine.runs, the_feed(upstreams, "/never"))
        reply = await opened(engine, run)
        assert (run.viewers, engine.admission.open) == (1, 1)
        with pytest.raises(TooManyStreams):
            await opened(engine, run)
        reply.viewer.close_on_loop()
        reply.viewer.close_on_loop()
        assert (run.viewers, engine.admission.open) == (0, 0)
        await ended(run)


async def test_a_head_starts_nothing(upstreams: Upstreams) -> None:
    """It says what the headers would be, even where no slot is free."""
    async with engine_of(max_streams=1) as engine:
        await opened(engine, await start(engine.runs, the_feed(upstreams, "/never")))

        async def find_place() -> Place:
            raise AssertionError("a HEAD looks for no place")

        reply = await open_stream(engine, Request(method="HEAD"), find_place, format="sse")
        assert type(reply) is Reply
        assert ("Content-Type", "text/event-stream") in reply.headers


@pytest.mark.parametrize("error", [TooManyRuns(1, retry_after=1), LookupError()])
async def test_a_stream_that_finds_no_place_gives_its_slot_back(error: Exception) -> None:
    """Whatever was raised."""
    async with engine_of() as engine:

        async def find_place() -> Place:
            raise error

        with pytest.raises((RequestError, LookupError)):
            await open_stream(engine, GET, find_place, format="sse")
        assert engine.admission.open == 0
        assert not engine._viewers


async def test_an_odd_ping_is_refused_before_anything_is_held() -> None:
    """`?ping=` knows one value."""
    async with engine_of() as engine:
        request = Request(method="GET", query=(("ping", "always"),))

        async def find_place() -> Place:
            pytest.fail("it looked")

        with pytest.raises(InvalidParameter):
            await open_stream(engine, request, find_place, format="sse")
        assert engine.admission.open == 0


async def test_beats_come_as_often_as_the_carrier_needs_them(upstreams: Upstreams) -> None:
    """Where only a failing write tells of a client that has gone; as events where asked for."""
    async with engine_of(ping_interval=60.0) as engine:
        run = await start(engine.runs, the_feed(upstreams, "/never"))
        request = Request(method="GET", query=(("ping", "event"),), max_silence=0.02)
        pieces = drive((await opened(engine, run, request=request, format="sse")).viewer)
        assert isinstance(pieces, AsyncGenerator)
        assert b"event: start" in await anext(pieces)
        assert await anext(pieces) == b"event: ping\ndata: {}\n\n"
        await pieces.aclose()


async def test_the_bound_of_an_address_looks_behind_a_trusted_proxy(upstreams: Upstreams) -> None:
    """Two clients of one proxy are two addresses."""
    async with engine_of(max_streams_per_address=1, trusted_proxies=("10.0.0.1",)) as engine:
        run = await start(engine.runs, the_feed(upstreams, "/never"))

        def request(client: str) -> Request:
            return Request(method="GET", peer="10.0.0.1", headers={"x-forwarded-for": client})

        await opened(engine, run, request=request("192.0.2.1"))
        await opened(engine, run, request=request("192.0.2.2"))
        with pytest.raises(TooManyStreamsPerAddress):
            await opened(engine, run, request=request("192.0.2.1"))


# ----------------------------------------------------------------------------- a run's state


async def test_a_state_is_written_at_once(upstreams: Upstreams) -> None:
    """While the run goes on `done` is null; it has the headers of any document of a run."""
    async with engine_of() as engine:
        run = await start(engine.runs, the_feed(upstreams, "/never"))
        reply = open_state(engine, GET, run)
        assert isinstance(reply, StreamReply)
        document = codec.decode(await read(reply))
        assert (document["run"], document["done"]) == (run.id, None)
        assert reply.headers == (await opened(engine, run, format="json")).headers


async def test_a_state_holds_a_slot_until_it_is_read(upstreams: Upstreams) -> None:
    """Its client may be as slow as any, and is counted, swept and drained as any."""
    async with engine_of(max_streams=1) as engine:
        run = await start(engine.runs, the_feed(upstreams, "/never"))
        reply = open_state(engine, GET, run)
        assert isinstance(reply, StreamReply)
        assert engine._viewers == {reply.viewer}
        with pytest.raises(TooManyStreams):
            open_state(engine, GET, run)
        await read(reply)
        assert (engine.admission.open, engine._viewers) == (0, set())


async def test_who_reads_a_state_is_no_viewer(upstreams: Upstreams) -> None:
    """A run that waits for its first viewer, or has one, goes on as if nobody had looked."""
    async with engine_of() as engine:
        run = await start(engine.runs, the_feed(upstreams, "/never"))
        reply = open_state(engine, GET, run)
        assert isinstance(reply, StreamReply)
        assert run.viewers == 0
        await read(reply)
        assert not run.is_stopping


async def test_the_head_of_a_state_takes_no_slot(upstreams: Upstreams) -> None:
    """It says what the headers would be, even where no slot is free."""
    async with engine_of(max_streams=1) as engine:
        run = await start(engine.runs, the_feed(upstreams, "/never"))
        await opened(engine, run)
        reply = open_state(engine, Request(method="HEAD"), run)
        assert type(reply) is Reply
        assert ("Content-Type", "application/json") in reply.headers
