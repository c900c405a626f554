"""Streams of one's own: a view's generator, bound to its one viewer."""

import asyncio
import contextvars
import gc
import logging
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import suppress
from typing import Any

import pytest

from streaming.core import codec
from streaming.core.event import Event
from streaming.core.message import Request
from streaming.engine import viewer as viewer_module
from streaming.engine.bridge import drive_in_thread
from streaming.engine.driver import drive
from streaming.engine.engine import Engine
from streaming.engine.log_stream import MAX_EVENTS
from streaming.engine.own_story import DONE_ID
from streaming.engine.own_stream import OwnStreamReply, answer_own, check_view
from tests.fan_out import PATIENCE, engine_of, until

GET = Request(method="GET", query=(("format", "ndjson"),))
secret: contextvars.ContextVar[str] = contextvars.ContextVar("secret", default="none")

Said = tuple[str, Any]


@pytest.fixture
async def engine(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Engine]:
    """An engine that has counted all its streams as closed at the end, and not for their time."""
    monkeypatch.setattr(viewer_module, "START_TIMEOUT", 1000.0)
    async with engine_of() as engine:
        yield engine
    await until(lambda: engine.admission.open == 0)


async def open_own(engine: Engine, request: Request = GET) -> OwnStreamReply:
    reply = await answer_own(engine, request)
    assert isinstance(reply, OwnStreamReply)
    return reply


def say(data: bytes) -> list[Said]:
    """The events of an NDJSON body, without what it opens with."""
    lines = [codec.decode(line) for line in data.splitlines()]
    return [(line["event"], line["data"]) for line in lines if line["event"] != "open"]


# Three ways in which a generator is run: as Quart runs it, as Flask runs an async one, and as Flask
# runs a plain one, in the thread that asks for the pieces.


async def on_the_loop(reply: OwnStreamReply, items: Any) -> bytes:
    reply.run(items)
    return b"".join([piece async for piece in drive(reply.viewer)])


async def in_a_worker(reply: OwnStreamReply, items: Any) -> bytes:
    reply.run(items)
    return await asyncio.to_thread(lambda: b"".join(drive_in_thread(reply.viewer)))


async def between_steps(reply: OwnStreamReply, items: Any) -> bytes:
    return await asyncio.to_thread(lambda: b"".join(reply.drive(items)))


def plain(*items: Any, error: BaseException | None = None) -> Generator[Any, None, None]:
    yield from items
    if error is not None:
        raise error


async def asynchronous(
    *items: Any, error: BaseException | None = None
) -> AsyncGenerator[Any, None]:
    for item in items:
        yield item
    if error is not None:
        raise error


WAYS = pytest.mark.parametrize(
    ("run", "generator"),
    [
        (on_the_loop, asynchronous),
        (on_the_loop, plain),
        (in_a_worker, asynchronous),
        (between_steps, plain),
    ],
)
Run = Callable[[OwnStreamReply, Any], Any]
Make = Callable[..., Any]


# --------------------------------------------------------------------- what is said


@WAYS
async def test_items_become_events(engine: Engine, run: Run, generator: Make) -> None:
    """Events as they are, else messages; and at the end `done`."""
    items = (Event("tick", {"n": 1}), {"a": 1}, "text", [1, None])
    *events, (name, done) = say(await run(await open_own(engine), generator(*items)))
    assert events == [
        ("tick", {"n": 1}),
        ("message", {"a": 1}),
        ("message", "text"),
        ("message", [1, None]),
    ]
    assert (name, done["ok"], done["reason"]) == ("done", 1, "finished")


@WAYS
async def test_an_exception_is_a_failure(
    engine: Engine, run: Run, generator: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """`internal`, without a word of what it says, which is in the log; then `done`, `failed`."""
    items = generator(1, error=LookupError("a secret"))
    body = await run(await open_own(engine), items)
    events = say(body)
    assert [name for name, _ in events] == ["message", "failure", "done"]
    assert events[1][1]["code"] == "internal"
    assert (events[2][1]["failed"], events[2][1]["reason"]) == (1, "failed")
    assert b"a secret" not in body
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@WAYS
async def test_what_has_no_json_form_is_a_failure_too(
    engine: Engine, run: Run, generator: Make
) -> None:
    """And the generator is closed there."""
    events = say(await run(await open_own(engine), generator(1, object(), 3)))
    assert [name for name, _ in events] == ["message", "failure", "done"]


async def test_a_cancellation_that_the_view_meets_is_a_failure(engine: Engine) -> None:
    """Something that it awaited was cancelled by others; its client must not wait for ever."""
    items = asynchronous(1, error=asyncio.CancelledError())
    async with asyncio.timeout(PATIENCE):
        events = say(await on_the_loop(await open_own(engine), items))
    assert [name for name, _ in events] == ["message", "failure", "done"]


@WAYS
@pytest.mark.parametrize("error", [None, LookupError()])
async def test_a_view_may_say_done_itself(
    engine: Engine, run: Run, generator: Make, error: Exception | None
) -> None:
    """Nothing follows it, also where the view raises afterwards."""
    done = Event("done", {"reason": "mine"}, id=DONE_ID)
    events = say(await run(await open_own(engine), generator(done, error=error)))
    assert events == [("done", {"reason": "mine"})]


class Rude:
    """An iterator that raises when it is closed in the middle."""

    def __init__(self) -> None:
        self.is_closed = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return object()

    def close(self) -> None:
        self.is_closed = True
        raise LookupError


class RudeAsync(Rude):
    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        return object()

    async def aclose(self) -> None:
        self.close()


@pytest.mark.parametrize(
    ("run", "make"),
    [
        (on_the_loop, Rude),
        (on_the_loop, RudeAsync),
        (in_a_worker, RudeAsync),
        (between_steps, Rude),
    ],
)
async def test_a_generator_that_raises_as_it_is_closed_still_ends_its_stream(
    engine: Engine, run: Run, make: type[Rude]
) -> None:
    """Its client would else wait, and be sent beats, for ever."""
    items = make()
    async with asyncio.timeout(PATIENCE):
        events = say(await run(await open_own(engine), items))
    assert [name for name, _ in events] == ["failure", "done"]
    assert items.is_closed


async def test_a_plain_generator_in_its_thread_opens_before_its_first_item(
    engine: Engine,
) -> None:
    """Some servers hold the head back until the first byte."""
    reply = await open_own(engine)
    pieces = reply.drive(plain(1))
    assert b"open" in next(pieces)
    assert b"message" in next(pieces)


# ------------------------------------------------------------------------- being ahead


@pytest.mark.parametrize("make", ["plain", "async"])
async def test_a_generator_waits_for_a_slow_client(engine: Engine, make: str) -> None:
    """It is no further ahead than the log holds, and one item in its hand."""
    count = [0]

    def counting() -> Iterator[int]:
        while True:
            count[0] += 1
            yield count[0]

    async def counting_async() -> AsyncIterator[int]:
        for n in counting():
            yield n

    reply = await open_own(engine)
    reply.run(counting() if make == "plain" else counting_async())
    pieces = drive(reply.viewer)
    await anext(pieces)
    await until(lambda: count[0] >= MAX_EVENTS)
    await asyncio.sleep(0.05)
    seen = count[0]
    assert seen <= 2 * MAX_EVENTS + 1
    await anext(pieces)
    await until(lambda: count[0] > seen)
    await pieces.aclose()


# ---------------------------------------------------------------------------- leaving


class Ending:
    """Notes that a generator's `finally` ran, and in which thread."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def plain(self) -> Iterator[int]:
        try:
            for n in range(1_000_000):
                yield n
                time.sleep(0.001)
        finally:
            self.threads.append(threading.current_thread())

    async def silent(self) -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.threads.append(threading.current_thread())


async def test_leaving_ends_an_async_generator_that_is_silent(engine: Engine) -> None:
    """Its `finally` runs, and may await."""
    ending = Ending()
    reply = await open_own(engine)
    reply.run(ending.silent())
    pieces = drive(reply.viewer)
    while b"message" not in await anext(pieces):
        pass
    await pieces.aclose()
    await until(lambda: bool(ending.threads))


async def test_leaving_ends_a_plain_generator_at_its_next_item(engine: Engine) -> None:
    """Its `finally` runs in the thread that ran it, which ends."""
    ending = Ending()
    reply = await open_own(engine)
    reply.run(ending.plain())
    pieces = drive(reply.viewer)
    await anext(pieces)
    await pieces.aclose()
    await until(lambda: bool(ending.threads))
    assert ending.threads[0] is not threading.current_thread()
    await asyncio.to_thread(ending.threads[0].join, PATIENCE)


@pytest.mark.parametrize("how", ["close", "gone"])
async def test_leaving_ends_a_plain_generator_between_the_steps(engine: Engine, how: str) -> None:
    """Closed by the server, or seen by the socket: its `finally` runs in the request's thread."""
    ending = Ending()
    reply = await open_own(engine)
    pieces = reply.drive(ending.plain())
    next(pieces)
    next(pieces)
    if how == "close":
        pieces.close()  # type: ignore[attr-defined]
    else:
        reply.viewer.receive_gone()
        with suppress(StopIteration):
            next(pieces)
    assert ending.threads == [threading.current_thread()]


async def test_a_generator_that_raises_as_its_client_leaves_says_nothing_more(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """There is nobody to tell; the log has it, and closing the response succeeds."""

    def failing() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise LookupError

    pieces = (await open_own(engine)).drive(failing())
    next(pieces)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_stream_that_is_never_started_is_closed(engine: Engine) -> None:
    """A response that is dropped before its first piece gives its slot back."""
    reply = await open_own(engine)
    pieces = reply.drive(plain(1))
    assert engine.admission.open == 1
    del pieces
    gc.collect()
    await until(lambda: engine.admission.open == 0)


async def test_a_client_that_leaves_before_the_generator_has_begun(engine: Engine) -> None:
    """It never begins, and nothing warns of that."""
    ending = Ending()
    reply = await open_own(engine)
    reply.run(ending.silent())
    reply.viewer.close_on_loop()
    await asyncio.sleep(0.01)
    assert not ending.threads
    assert len(engine._tasks) == 1


class NoThread(threading.Thread):
    """One too many."""

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


class HandMade:
    """What a view may give in place of a generator: it has to be closed though nobody began it."""

    def __init__(self, *, error: Exception | None = None) -> None:
        self.begun = 0
        self.closings: list[tuple[threading.Thread, str]] = []
        self.error = error

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.begun += 1
        raise StopIteration

    def close(self) -> None:
        self.closings.append((threading.current_thread(), secret.get()))
        if self.error is not None:
            raise self.error


class HandMadeAsync(HandMade):
    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        self.begun += 1
        raise StopAsyncIteration

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.close()


@pytest.mark.parametrize("error", [None, LookupError()])
@pytest.mark.parametrize("how", ["drop", "late"])
async def test_items_that_were_never_begun_are_closed(
    engine: Engine, how: str, error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    """In a thread of their own, with the request's context; what they raise is logged."""
    items = HandMade(error=error)
    reply = await open_own(engine)
    token = secret.set("of the request")
    pieces = reply.drive(items)
    secret.reset(token)
    if how == "drop":
        del pieces
        gc.collect()
    else:
        await asyncio.sleep(0)
        reply.viewer.close_on_loop()
    await until(lambda: bool(items.closings) and engine.admission.open == 0)
    ((thread, context),) = items.closings
    assert thread is not threading.current_thread()
    assert (context, items.begun) == ("of the request", 0)
    assert len(caplog.records) == (error is not None)


async def test_items_are_closed_that_were_left_behind_the_preamble(engine: Engine) -> None:
    """Their stream had begun, and they had not."""
    items = HandMade()
    pieces = (await open_own(engine)).drive(items)
    assert b"open" in next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert [thread for thread, _ in items.closings] == [threading.current_thread()]
    assert items.begun == 0


@pytest.mark.parametrize("make", [HandMade, HandMadeAsync])
async def test_items_are_closed_once(engine: Engine, make: type[HandMade]) -> None:
    """By who ran them, and by nobody else at the end of their stream."""
    items = make()
    run = between_steps if make is HandMade else on_the_loop
    await run(await open_own(engine), items)
    await until(lambda: engine.admission.open == 0)
    assert (len(items.closings), items.begun) == (1, 1)


@pytest.mark.parametrize("error", [None, LookupError()])
@pytest.mark.parametrize("closed", ["before", "after"])
async def test_items_of_a_task_that_never_began_are_closed(
    engine: Engine, closed: str, error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A task that is cancelled before its first step runs nothing of its own, `finally` neither."""
    items = HandMadeAsync(error=error)
    reply = await open_own(engine)
    if closed == "before":
        reply.viewer.close_on_loop()
    token = secret.set("of the request")
    reply.run(items)
    secret.reset(token)
    if closed == "after":
        asyncio.get_running_loop().call_soon(reply.viewer.close_on_loop)
    await until(lambda: bool(items.closings) and engine.admission.open == 0)
    assert [context for _, context in items.closings] == ["of the request"]
    assert items.begun == 0
    assert len(caplog.records) == (error is not None)


async def test_items_are_closed_where_no_thread_can_start(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By who finds that out."""
    items, others = HandMade(), HandMade()
    replies = [await open_own(engine), await open_own(engine)]
    pieces = replies[0].drive(items)
    await asyncio.sleep(0)
    monkeypatch.setattr(threading, "Thread", NoThread)
    with pytest.raises(RuntimeError):
        replies[1].run(others)
    del pieces
    gc.collect()
    await until(lambda: bool(items.closings and others.closings))


@pytest.mark.parametrize("how", ["a slow view", "a slow framework"])
async def test_a_slow_view_is_not_cut(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The time to begin is counted from when the response has its body."""
    monkeypatch.setattr(viewer_module, "START_TIMEOUT", 0.1)

    def view() -> Iterator[int]:
        time.sleep(0.3 if how == "a slow view" else 0.07)
        return plain(1)

    def respond(reply: OwnStreamReply) -> bytes:
        pieces = reply.drive(reply.call(view, GET, {}))
        time.sleep(0.07)
        return b"".join(pieces)

    body = await asyncio.to_thread(respond, await open_own(engine))
    assert [name for name, _ in say(body)] == ["message", "done"]


async def test_a_view_that_was_not_begun_in_time_is_closed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Something may hold its response that never begins it; the log says that."""
    caplog.set_level(logging.INFO, "fanstream")
    monkeypatch.setattr(viewer_module, "START_TIMEOUT", 0.05)
    items = HandMade()
    reply = await open_own(engine)
    pieces = reply.drive(reply.call(lambda: items, GET, {}))
    await until(lambda: bool(items.closings) and engine.admission.open == 0)
    assert list(pieces) == []
    assert [record.getMessage() for record in caplog.records] == [
        "stream closed: its body was not begun for 0.05 s"
    ]


async def test_a_write_that_goes_on_can_be_told(engine: Engine) -> None:
    """`send_timeout` holds for a plain generator in its request's thread as well."""
    reply = await open_own(engine)
    pieces = reply.drive(plain(1))
    next(pieces)
    assert reply.viewer.writing_since is not None
    pieces.close()  # type: ignore[attr-defined]


# ------------------------------------------------------------------------- the view


async def test_a_view_is_handed_what_its_client_resumes_from(engine: Engine) -> None:
    """Where it asks for it, beside its path."""

    def view(name: str, last_event_id: str | None) -> tuple[str, str | None]:
        return name, last_event_id

    request = Request(method="GET", headers={"last-event-id": "7"})
    for each, id in ((request, "7"), (GET, None)):
        reply = await open_own(engine, each)
        assert reply.call(view, each, {"name": "a"}) == ("a", id)
        assert reply.call(lambda: "none asked for", each, {}) == "none asked for"
        reply.viewer.close()


async def test_a_view_that_raises_closes_its_stream(engine: Engine) -> None:
    """Nothing else holds it yet, so nothing else could."""

    def view() -> None:
        raise LookupError

    reply = await open_own(engine)
    with pytest.raises(LookupError):
        reply.call(view, GET, {})
    await until(lambda: engine.admission.open == 0)


async def test_a_thread_that_cannot_start_closes_its_stream(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process has too many, and one slot less would never come back."""

    monkeypatch.setattr(threading, "Thread", NoThread)
    reply = await open_own(engine)
    with pytest.raises(RuntimeError):
        reply.run(plain(1))
    await until(lambda: engine.admission.open == 0)


@WAYS
async def test_a_generator_runs_with_the_requests_context(
    engine: Engine, run: Run, generator: Make
) -> None:
    """So that a view finds what its framework put there."""

    def looking() -> Iterator[str]:
        yield secret.get()

    async def looking_async() -> AsyncIterator[str]:
        yield secret.get()

    token = secret.set("of the request")
    items = looking() if generator is plain else looking_async()
    events = say(await run(await open_own(engine), items))
    secret.reset(token)
    assert events[0] == ("message", "of the request")


# ----------------------------------------------------------------------- the request


async def test_who_has_had_all_is_told_so(engine: Engine) -> None:
    """A browser that comes back after `done` stops for good."""
    request = Request(method="GET", headers={"last-event-id": DONE_ID})
    assert (await answer_own(engine, request)).status == 204


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (Request(method="HEAD"), 200),
        (Request(method="GET", query=(("format", "json"),)), 406),
        (Request(method="GET", query=(("ping", "x"),)), 422),
    ],
)
async def test_what_opens_no_stream_holds_no_slot(
    engine: Engine, request_: Request, status: int
) -> None:
    """A HEAD, a wire that one's own streams do not have, a mistake."""
    reply = await answer_own(engine, request_)
    assert reply.status == status
    assert engine.admission.open == 0


async def test_streams_of_ones_own_are_bounded_too() -> None:
    """By the same count as all others."""
    async with engine_of(max_streams=1) as engine:
        reply = await open_own(engine)
        assert (await answer_own(engine, GET)).status == 503
        reply.viewer.close_on_loop()
        assert (await answer_own(engine, GET)).status == 200


async def test_a_blocked_thread_keeps_its_place() -> None:
    """A viewer that leaves does not free its generator's thread, and threads are bounded too."""
    may_end = threading.Event()

    def blocked() -> Iterator[str]:
        yield "begun"
        may_end.wait(PATIENCE)

    async with engine_of(max_streams=1) as engine:
        reply = await open_own(engine)
        reply.run(blocked())
        pieces = drive(reply.viewer)
        await anext(pieces)
        await pieces.aclose()
        assert (await answer_own(engine, GET)).status == 503
        may_end.set()
        await until(lambda: engine.admission.open == 0)
        assert (await answer_own(engine, GET)).status == 200


async def test_a_place_is_given_back_once(engine: Engine) -> None:
    """A viewer that is closed before its task starts leaves nothing behind, and nothing below."""

    async def items() -> AsyncIterator[str]:
        yield "never"

    reply = await open_own(engine)
    reply.viewer.close_on_loop()
    reply.run(items())
    await asyncio.sleep(0.01)
    assert engine.admission.open == 0


def test_a_view_that_returns_is_refused() -> None:
    """What `event_stream` decorates has to yield; it says so when it is decorated."""

    async def view() -> AsyncIterator[str]:
        return items()

    async def items() -> AsyncIterator[str]:
        yield "an item"

    with pytest.raises(TypeError, match="view is an async function without a yield"):
        check_view(view)
    check_view(items)


@pytest.mark.parametrize("answer", [("no", 401), "no", {"a": 1}, None, ["a"]])
async def test_an_answer_of_the_views_own_is_no_stream(engine: Engine, answer: Any) -> None:
    """A view that refuses with a status does so; its stream is closed, and its slot free."""
    reply = await open_own(engine)
    assert not reply.takes(reply.call(lambda: answer, GET, {}))
    await until(lambda: engine.admission.open == 0)
