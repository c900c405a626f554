"""The execution of a run that another process had begun, or goes on with: each outcome just once.

What is so of every run, whoever executes it, is in `test_run`.
"""

import asyncio
import time
from typing import Any

from streaming.core.feed import Feed, Upstream
from streaming.core.progress import read_progress
from streaming.engine.execution import Execution, start_data
from streaming.engine.log_memory import LogBudget, MemoryLog
from streaming.engine.run import Run
from streaming.engine.upstream_call import Outgoing
from tests.fan_out import PATIENCE, done, ended, execution_of, outcomes, said, start
from tests.fan_out import running as runs_of
from tests.upstreams import Upstreams


def begun(feed: Feed) -> MemoryLog:
    """The log of a run, as another process has begun it."""
    budget = LogBudget(max_bytes=1 << 20, make_room=lambda size: None)
    log = MemoryLog("0" * 32, budget=budget, max_events=100, max_bytes=1 << 20)
    log.append("start", start_data("0" * 32, feed, {}))
    return log


def go_on(log: MemoryLog, feed: Feed, outgoing: Outgoing) -> Run:
    """Execute a run from where its log ends."""
    run = Run("0" * 32, feed=feed, params={}, caller="", log=log, on_end=lambda run: None)
    run.execute_by(
        Execution(
            run.id,
            feed=feed,
            calls=feed.build_calls({}),
            log=log,
            outgoing=outgoing,
            progress=read_progress(log),
        )
    )
    return run


def feed_of(upstreams: Upstreams, path: str = "/json", **options: Any) -> Feed:
    """A feed of four upstreams, of which one must not be called twice."""
    base = upstreams.base_url
    calls = {name: Upstream(url=f"{base}{path}?{name}") for name in ("a", "b", "c")}
    post = Upstream(url=f"{base}{path}?post", method="POST")
    return Feed("it", **{"on_disconnect": "detach", **options}, upstreams={**calls, "post": post})


async def test_what_was_begun_elsewhere_is_not_begun_again(
    upstreams: Upstreams, outgoing: Outgoing
) -> None:
    """What is settled stays; what has chunks or may not be repeated is `disconnected`."""
    log = begun(feed := feed_of(upstreams))
    log.append("result", {"at": 0.5, "upstream": "a"})
    log.append("chunk", {"at": 2.0, "upstream": "b", "n": 1, "data": "one"})
    run = go_on(log, feed, outgoing)
    await ended(run)
    codes = {name: event.data.get("code") for name, event in outcomes(log).items()}
    assert codes == {"a": None, "b": "disconnected", "post": "disconnected", "c": None}
    assert [request.target for request in upstreams.requests] == ["/json?c"]
    assert [event.data["done"] for event in said(log, "result", "failure")[1:]] == [2, 3, 4]
    assert done(log) == {**done(log), "ok": 2, "failed": 2, "reason": "finished"}
    assert 2.0 <= done(log)["elapsed"] < 2.0 + PATIENCE


async def test_the_time_that_a_run_has_is_not_given_again(
    upstreams: Upstreams, outgoing: Outgoing
) -> None:
    """It ends when it would have ended where it began."""
    base = feed_of(upstreams, "/never")
    feed = Feed("it", on_disconnect="detach", timeout=10.0, upstreams=base.upstreams)
    log = begun(feed)
    log.append("attempt", {"at": 9.7, "upstream": "a"})
    before = time.monotonic()
    await ended(go_on(log, feed, outgoing))
    assert 0.25 <= time.monotonic() - before < 5.0
    assert done(log) == {**done(log), "failed": 4, "reason": "timeout"}


async def test_a_run_that_was_settled_elsewhere_only_ends(
    upstreams: Upstreams, outgoing: Outgoing
) -> None:
    """The other process had no time for its last word."""
    log = begun(feed := feed_of(upstreams))
    for name in feed.upstreams:
        log.append("result", {"at": 0.5, "upstream": name})
    await ended(go_on(log, feed, outgoing))
    assert done(log) == {**done(log), "ok": 4, "failed": 0, "cancelled": 0, "reason": "finished"}
    assert not upstreams.requests


async def test_an_execution_that_is_halted_says_nothing(upstreams: Upstreams) -> None:
    """Its upstreams are hung up on, and no timer is left; the run is not at its end."""
    async with runs_of() as runs:
        run = await start(runs, feed_of(upstreams, "/never", on_disconnect="linger"))
        execution = execution_of(run)
        await upstreams.wait_calls("/never", 4)
        execution.halt()
        execution.stop("stopped")
        await upstreams.wait_closed_by_peer("/never")
        assert [event.name for event in said(run.log)] == ["start"]
        assert not run.is_ended
        assert execution._leaving is None
        # It is nobody's any more: another goes on with it, and ends it.
        run.execute_by(
            Execution(
                run.id,
                feed=run.feed,
                calls=run.feed.build_calls({}),
                log=run.log,
                outgoing=runs._outgoing,
                progress=read_progress(run.log),
            )
        )
        run.stop("stopped")
        await ended(run)
        assert done(run.log) == {**done(run.log), "reason": "stopped", "failed": 0, "cancelled": 4}


async def test_an_execution_is_told_of_the_viewers_that_are_there(
    upstreams: Upstreams, outgoing: Outgoing
) -> None:
    """They had come before it did: only the last one's leaving ends the run."""
    feed = feed_of(upstreams, "/never", on_disconnect="cancel")
    log = begun(feed)
    run = Run("0" * 32, feed=feed, params={}, caller="", log=log, on_end=lambda run: None)
    run.attach()
    run.attach()
    calls = feed.build_calls({})
    run.execute_by(Execution(run.id, feed=feed, calls=calls, log=log, outgoing=outgoing))
    run.detach()
    await asyncio.sleep(0)
    assert not run.is_stopping
    run.detach()
    await ended(run)
    assert done(log)["reason"] == "abandoned"
