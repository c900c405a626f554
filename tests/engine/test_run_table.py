"""The runs that a process holds: which may go, when, and which go first where place is needed."""

import asyncio
import time

import pytest

from streaming.core.errors_request import TooManyRuns
from streaming.core.feed import Feed, Upstream
from streaming.engine.alarms import Alarms
from streaming.engine.log_memory import LogFull, MemoryLog
from streaming.engine.run import Run
from streaming.engine.run_table import RETRY_AFTER, RunTable
from tests.fan_out import until

FEED = Feed("it", upstreams={"it": Upstream(url="http://host/")})


class Table(RunTable):
    """A table that says what it has forgotten."""

    def __init__(self, *, max_runs: int = 100, max_bytes: int = 1 << 20) -> None:
        super().__init__(
            alarms=Alarms(),
            max_runs=max_runs,
            max_bytes=max_bytes,
            on_forget=lambda run: self.forgotten.append(run.id),
        )
        self.forgotten: list[str] = []

    def take_in(self, *ids: str, size: int = 0) -> list[Run]:
        return [self._take_in(id, size) for id in ids]

    def _take_in(self, id: str, size: int) -> Run:
        self.make_place()
        log = MemoryLog(id, budget=self.budget, max_events=100, max_bytes=1 << 20)
        if size:
            log.append("start", {"text": "x" * size})
        run = Run(id, feed=FEED, params={}, caller="", log=log, on_end=lambda run: None)
        self.add(run)
        return run


async def test_a_run_is_found_until_its_time_has_come() -> None:
    """Then it is forgotten once, and its bytes come back."""
    table = Table()
    (run,) = table.take_in("a", size=100)
    table.let_go(run, after=0.05)
    assert (table.find("a"), table.find("b"), table.all()) == (run, None, [run])
    assert table.budget.used > 0
    await until(lambda: table.find("a") is None)
    assert (table.forgotten, table.budget.used, table.all()) == (["a"], 0, [])


async def test_who_was_let_go_first_makes_place() -> None:
    """Whoever came first; where nobody was let go there is no place."""
    table = Table(max_runs=3)
    first, second, _ = table.take_in("first", "second", "third")
    table.let_go(second, after=300.0)
    table.let_go(first, after=100.0)
    table.take_in("fourth", "fifth")
    assert table.forgotten == ["second", "first"]
    with pytest.raises(TooManyRuns) as refused:
        table.make_place()
    assert refused.value.retry_after == RETRY_AFTER
    assert [run.id for run in table.all()] == ["third", "fourth", "fifth"]


async def test_a_run_that_is_held_again_stays() -> None:
    """Neither its time nor another's need of its place has it forgotten, however often held."""
    table = Table(max_runs=1)
    (run,) = table.take_in("a")
    table.let_go(run, after=0.01)
    table.hold(run)
    table.hold(run)
    later = table._alarms.make(lambda: table.forgotten.append("nothing"))
    later.set(time.monotonic() + 0.05)
    await until(lambda: bool(table.forgotten))
    with pytest.raises(TooManyRuns):
        table.make_place()
    assert (table.forgotten, table.find("a")) == (["nothing"], run)


async def test_a_run_that_is_let_go_anew_waits_anew() -> None:
    """It is the last in the order in which they go, and its first time is forgotten."""
    table = Table(max_runs=2)
    first, second = table.take_in("first", "second")
    table.let_go(first, after=0.01)
    table.let_go(second, after=300.0)
    table.let_go(first, after=300.0)
    await asyncio.sleep(0.1)
    table.take_in("third")
    assert table.forgotten == ["second"]


async def test_bytes_are_made_room_for_by_those_that_may_go() -> None:
    """One by one, and no more of them than needed; those that have to stay keep theirs."""
    table = Table(max_bytes=4000)
    a, b, _ = table.take_in("a", "b", "c", size=1000)
    table.let_go(a, after=300.0)
    table.let_go(b, after=300.0)
    table.take_in("d", size=1000)
    assert table.forgotten == ["a"]
    with pytest.raises(LogFull):
        table.take_in("e", size=3000)
    assert table.forgotten == ["a", "b"]


async def test_all_that_were_let_go_are_forgotten_at_once() -> None:
    """And no alarm is left; those that have to stay do."""
    table = Table()
    a, b, c = table.take_in("a", "b", "c")
    table.let_go(b, after=300.0)
    table.let_go(a, after=300.0)
    table.forget_going()
    assert (table.forgotten, table.all()) == (["b", "a"], [c])
    assert not table._going
    assert not table._alarms._by_tick
