"""Merging what is code: as it completes, and closed with everything that it runs."""

import asyncio
import gc
import itertools
import logging
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streaming
from streaming.core.errors_upstream import BadStatus
from streaming.core.event import Event
from streaming.engine.merge import MAX_WAITING_EVENTS, _Merging, merge
from tests.fan_out import PATIENCE, until

Said = tuple[str, dict[str, Any]]


async def told(events: AsyncGenerator[Event, None]) -> list[Said]:
    async with asyncio.timeout(PATIENCE):
        return [(event.name, event.data) async for event in events]


async def after(gate: asyncio.Event, value: Any = None) -> Any:
    await gate.wait()
    return value


async def failing(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


async def counting(stop: int) -> AsyncIterator[int]:
    for n in range(stop):
        yield n


class Watched:
    """An endless source that notes how it ended."""

    def __init__(self) -> None:
        self.began = 0
        self.ended = 0

    async def coroutine(self) -> None:
        await anext(self.iterator())

    async def iterator(self) -> AsyncIterator[None]:
        self.began += 1
        try:
            await asyncio.Event().wait()
            yield
        finally:
            await asyncio.sleep(0)
            self.ended += 1


# ------------------------------------------------------------------------ outcomes


async def test_results_come_as_they_are_ready() -> None:
    """Not as they were named; each tells how many there are, and `done` what became of all."""
    first, second = asyncio.Event(), asyncio.Event()
    events = merge(a=after(second, "a"), b=after(first, {"b": 1}))
    first.set()
    assert (await anext(events)).data["body"] == {"b": 1}
    second.set()
    *_, result, done = await told(events)
    assert (result[0], result[1]["upstream"], result[1]["body"]) == ("result", "a", "a")
    assert (result[1]["done"], result[1]["of"]) == (2, 2)
    assert done[0] == "done"
    assert done[1] == {
        "at": done[1]["at"],
        "elapsed": done[1]["elapsed"],
        "ok": 2,
        "failed": 0,
        "cancelled": 0,
        "reason": "finished",
    }


async def test_iterators_become_chunks() -> None:
    """Each item as it comes, and then a result without a body."""
    events = await told(merge(numbers=counting(3)))
    chunks = [data for name, data in events if name == "chunk"]
    assert [(data["n"], data["data"]) for data in chunks] == [(1, 0), (2, 1), (3, 2)]
    result = events[-2][1]
    assert (result["body"], result["chunks"]) == (None, 3)


async def test_the_events_have_the_keys_of_a_runs() -> None:
    """What reads a feed reads this."""
    events = await told(merge(one=counting(1), two=asyncio.sleep(0), bad=failing(LookupError())))
    keys = {
        "bad" if name == "failure" else data.get("upstream", name): data.keys()
        for name, data in events
        if name != "chunk"
    }
    outcome = {"at", "upstream", "status", "elapsed", "first_byte", "attempts", "done", "of"}
    assert keys["two"] == outcome | {"content_type", "body"}
    assert keys["one"] == outcome | {"content_type", "body", "chunks"}
    assert keys["bad"] == outcome | {"code", "message"}
    assert keys["done"] == {"at", "ok", "failed", "cancelled", "elapsed", "reason"}


@pytest.mark.parametrize(
    ("error", "code", "count"),
    [
        (LookupError("a secret"), "internal", "failed"),
        (BadStatus(503), "status", "failed"),
        (asyncio.CancelledError(), "cancelled", "cancelled"),
    ],
)
async def test_a_source_that_raises_disturbs_nobody(
    error: BaseException, code: str, count: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a failure with its code; what it says stays in the log."""
    gate = asyncio.Event()
    events = merge(bad=failing(error), good=after(gate))
    failure = await anext(events)
    assert (failure.name, failure.data["code"]) == ("failure", code)
    assert "secret" not in failure.data["message"]
    gate.set()
    *_, (_, done) = await told(events)
    assert (done["ok"], done[count]) == (1, 1)
    assert len(caplog.records) == (code == "internal")


async def test_a_task_that_others_cancel_is_a_failure() -> None:
    """It is told when it happens."""
    task = asyncio.create_task(Watched().coroutine())
    events = merge(task=task)
    asyncio.get_running_loop().call_soon(task.cancel)
    assert [name for name, _ in await told(events)] == ["failure", "done"]


async def test_a_source_that_cancels_its_own_task_is_told_too() -> None:
    """No source is without an outcome."""

    async def strange() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    (name, failure), (_, done) = await told(merge(strange=strange()))
    assert (name, failure["code"], failure["done"]) == ("failure", "cancelled", 1)
    assert done["cancelled"] == 1


@pytest.mark.parametrize(
    "source", [asyncio.sleep, 3, counting], ids=["a function", "a number", "no iterator yet"]
)
async def test_what_is_no_source_is_a_failure(source: Any) -> None:
    """The others go on."""
    events = await told(merge(bad=source, good=asyncio.sleep(0)))
    assert sorted(name for name, _ in events) == ["done", "failure", "result"]


async def test_what_has_no_json_form_is_a_failure() -> None:
    """As the value of a coroutine, and as an item."""

    async def odd() -> AsyncIterator[object]:
        yield object()

    events = await told(merge(value=asyncio.sleep(0, object()), item=odd()))
    assert [name for name, _ in events] == ["failure", "failure", "done"]


async def test_nothing_merged_is_done_at_once() -> None:
    """Zero of zero."""
    ((name, done),) = await told(merge())
    assert (name, done["ok"]) == ("done", 0)


def test_it_is_had_from_the_package() -> None:
    """For use without HTTP."""
    assert streaming.merge is merge


# -------------------------------------------------------------------------- closing


@pytest.mark.parametrize("started", [True, False])
async def test_closing_cancels_awaits_and_closes_everything(started: bool) -> None:
    """Coroutines, tasks and iterators; their `finally` has run when `aclose` returns."""
    watched = Watched()
    task = asyncio.create_task(watched.coroutine())
    events = merge(
        coroutine=watched.coroutine(), iterator=watched.iterator(), task=task, quick=counting(1)
    )
    if started:
        await anext(events)
        await until(lambda: watched.began == 3)
    await events.aclose()
    if started:
        assert watched.ended == 3
        assert task.cancelled()
    task.cancel()
    await asyncio.wait([task])
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_merge_that_is_left_at_once_warns_of_nothing() -> None:
    """Neither one that was never started, nor one that was cancelled in its first step."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        events = merge(never=asyncio.sleep(0), iterator=counting(1))
        await events.aclose()
        merge(dropped=asyncio.sleep(0))
        gc.collect()
        reading = asyncio.create_task(told(merge(cancelled=asyncio.sleep(0))))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        gc.collect()


async def test_what_was_not_begun_yet_is_closed_too() -> None:
    """As where the reader is cancelled in its first step: a task ends, and nothing warns."""
    watched = Watched()
    task = asyncio.create_task(watched.coroutine())
    await asyncio.sleep(0)
    merging = _Merging({"task": task, "coroutine": asyncio.sleep(0), "iterator": counting(1)})
    await merging.aclose()
    assert task.cancelled()
    assert watched.began == watched.ended == 1


async def test_one_source_that_will_not_be_closed_keeps_no_other_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged, and closing succeeds."""

    class Clinging:
        def __aiter__(self) -> AsyncIterator[Any]:
            return self

        async def __anext__(self) -> Any:
            return await asyncio.Event().wait()

        async def aclose(self) -> None:
            raise LookupError

    watched = Watched()
    async with aclosing(
        merge(clinging=Clinging(), quick=counting(1), watched=watched.iterator())
    ) as events:
        await anext(events)
        await until(lambda: watched.began == 1)
    assert watched.ended == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_reader_that_is_cancelled_leaves_nothing() -> None:
    """Also where it is cancelled again while it closes."""
    watched = Watched()
    reading = asyncio.create_task(told(merge(a=watched.coroutine(), b=watched.iterator())))
    await until(lambda: watched.began == 2)
    reading.cancel()
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    await until(lambda: watched.ended == 2)
    assert asyncio.all_tasks() == {asyncio.current_task()}


# ---------------------------------------------------------------------- being ahead


async def test_sources_wait_for_a_slow_reader() -> None:
    """They are no further ahead than so many events."""
    count = itertools.count(1)

    async def endless() -> AsyncIterator[int]:
        for n in count:
            yield n

    async with aclosing(merge(endless=endless())) as events:
        await anext(events)
        await asyncio.sleep(0.02)
        assert next(count) <= MAX_WAITING_EVENTS + 3


async def test_outcomes_are_counted_in_order_though_they_waited() -> None:
    """One that comes when there is room again does not overtake those that waited for it."""
    sources: dict[str, Any] = {f"s{n}": asyncio.sleep(0) for n in range(MAX_WAITING_EVENTS + 40)}
    gate = asyncio.Event()
    sources |= {f"t{n}": after(gate) for n in range(40)}
    events = merge(**sources)
    counts = [(await anext(events)).data["done"]]
    await asyncio.sleep(0.02)
    gate.set()
    counts += [event.data["done"] async for event in events if event.name == "result"]
    assert counts == list(range(1, len(sources) + 1))


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(["value", "items", "error", "bad", "cancelled"]), max_size=6),
    leave_after=st.integers(0, 20),
)
def test_every_source_has_one_outcome(kinds: list[str], leave_after: int) -> None:
    """Counts add up, `done` is last; whenever it is left, nothing remains."""

    def source(kind: str) -> Coroutine[Any, Any, Any] | AsyncIterator[Any]:
        if kind == "items":
            return counting(3)
        if kind == "value":
            return asyncio.sleep(0, 1)
        if kind == "bad":
            return asyncio.sleep(0, object())
        return failing(LookupError() if kind == "error" else asyncio.CancelledError())

    async def read() -> list[Said]:
        events = merge(**{f"s{n}": source(kind) for n, kind in enumerate(kinds)})
        seen = []
        async with aclosing(events):
            async for event in events:
                seen.append((event.name, event.data))
                if len(seen) == leave_after:
                    break
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return seen

    seen = asyncio.run(read())
    if len(seen) == leave_after:
        return
    *events, (name, done) = seen
    assert name == "done"
    came = [data for name, data in events if name in ("result", "failure")]
    assert sorted(data["upstream"] for data in came) == [f"s{n}" for n in range(len(kinds))]
    assert [data["done"] for data in came] == list(range(1, len(kinds) + 1))
    assert (done["ok"], done["cancelled"]) == (
        kinds.count("value") + kinds.count("items"),
        kinds.count("cancelled"),
    )
