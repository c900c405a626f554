"""A run: exactly one outcome for each upstream and `done` last, whatever ends it and when."""

import asyncio
import contextvars
import gc
import logging
import tracemalloc
from typing import Any

import pytest

from streaming.core.feed import Feed, Upstream
from streaming.engine.runs_memory import MemoryRuns
from streaming.engine.transport import Transport
from streaming.engine.transport_httpx import HttpxTransport
from tests.fan_out import detached, done, ended, execution_of, outcomes, running, said, start, until
from tests.upstreams import Upstreams, closed_port, full_backlog

QUICK = {"retries": 0, "first_byte_timeout": 1.0, "idle_timeout": 1.0}

# What is asked of a hostile upstream, how, and what becomes of it.
HOSTILE: dict[str, tuple[str, dict[str, Any], str]] = {
    "never": ("/never", QUICK, "timeout"),
    "drips-its-head": ("/dripping-head", QUICK, "timeout"),
    "stalls-after-head": ("/head-then-stall", QUICK, "timeout"),
    "stalls-in-body": ("/stall-in-body", QUICK, "timeout"),
    "drips-its-body": ("/dripping-body", {"read": "text", "timeout": 1.0}, "timeout"),
    "resets": ("/reset", QUICK, "disconnected"),
    "resets-in-body": ("/reset-in-body", QUICK, "disconnected"),
    "hangs-up": ("/hangup", QUICK, "disconnected"),
    "hangs-up-half-way": ("/hangup-in-body", QUICK, "disconnected"),
    "cuts-its-chunks": ("/chunked-cut", QUICK, "disconnected"),
    "cuts-its-events": ("/sse-cut", {"read": "sse"}, "disconnected"),
    "404": ("/status/404", {}, "status"),
    "503": ("/status/503?retry_after=3600", {}, "status"),
    "redirects-for-ever": ("/redirect-loop", {"follow_redirects": True}, "status"),
    "redirects-elsewhere": ("/redirect?to=http://192.0.2.1/", {"follow_redirects": True}, "status"),
    "too-large": ("/large", {"read": "text"}, "too_large"),
    "never-ends": ("/endless", {"read": "bytes"}, "too_large"),
    "bomb": ("/bomb", {"read": "bytes"}, "too_large"),
    "bomb-of-one-line": ("/bomb", {"read": "lines"}, "too_large"),
    "long-event": ("/long-line?read=sse", {"read": "sse"}, "too_large"),
    "invalid-json": ("/invalid-json", {}, "decode"),
    "nan": ("/nan", {}, "decode"),
    "half-a-surrogate": ("/surrogate", {}, "decode"),
    "wrong-utf8": ("/wrong-utf8", {"read": "text"}, "decode"),
    "wrong-line": ("/ndjson-bad", {"read": "ndjson"}, "decode"),
    "wrong-gzip": ("/bad-gzip", {}, "decode"),
    "half-a-gzip": ("/gzip?cut=5", {}, "decode"),
    "unknown-coding": ("/unknown-coding", {}, "decode"),
    "not-http": ("/not-http", QUICK, "protocol"),
}


async def test_each_fault_has_its_code_and_disturbs_nobody(
    upstreams: Upstreams, either_transport: Transport
) -> None:
    """All of them at once, each within its time, and the good ones arrive before the slow fail."""
    base = upstreams.base_url
    hostile = {name: Upstream(url=base + path, **how) for name, (path, how, _) in HOSTILE.items()}
    good = {f"good-{n}": Upstream(url=f"{base}/json?delay={n / 10}") for n in (1, 2, 3)}
    with full_backlog() as deaf:
        nowhere = {
            "not-there": Upstream(url=f"http://127.0.0.1:{closed_port()}/", backoff=0.0),
            "connects-never": Upstream(
                url=f"http://127.0.0.1:{deaf}/", connect_timeout=1.0, retries=0
            ),
        }
        feed = Feed("it", timeout=15.0, upstreams={**hostile, **nowhere, **good})
        async with running(either_transport) as runs:
            run = await start(runs, feed)
            await ended(run)
    came = outcomes(run.log)
    codes = {name: event.data.get("code") for name, event in came.items()}
    expected = {name: code for name, (_, _, code) in HOSTILE.items()}
    if isinstance(either_transport, HttpxTransport):
        expected["not-http"] = "timeout"  # its parser judges no head before its end
    expected |= {"not-there": "connect", "connects-never": "timeout", **dict.fromkeys(good)}
    assert codes == expected
    assert max(event.data["elapsed"] for event in came.values()) < 8.0
    order = list(came)
    assert [name for name in order if name in good] == list(good)
    assert order.index("good-3") < order.index("never")
    assert done(run.log) == {
        **done(run.log),
        "ok": 3,
        "failed": len(codes) - 3,
        "cancelled": 0,
        "reason": "finished",
    }


@pytest.mark.parametrize(("read", "size"), [("bytes", 1 << 30), ("stream", 1 << 26)])
async def test_a_bomb_costs_no_more_memory_than_its_bounds(
    upstreams: Upstreams, read: str, size: int
) -> None:
    """Neither the body of a gibibyte nor the log of a stream ever holds more than it may."""
    bomb = Upstream(url=f"{upstreams.base_url}/bomb?bytes={size}", read=read)
    async with running(max_log_bytes=1 << 20) as runs:
        await ended(await start(runs, detached(first=Upstream(url=upstreams.base_url + "/json"))))
        gc.collect()
        tracemalloc.start()
        try:
            run = await start(runs, detached(bomb=bomb))
            await ended(run)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert done(run.log)["reason"] == "finished"
    assert peak < 12 << 20


async def test_outcomes_come_in_the_order_in_which_upstreams_answer(
    runs: MemoryRuns, upstreams: Upstreams
) -> None:
    """Whatever their order in the feed; `done` rises by one with each."""
    slow, fast = (Upstream(url=f"{upstreams.base_url}/json?delay={n}") for n in (0.3, 0.0))
    run = await start(runs, detached(slow=slow, fast=fast))
    events = await ended(run)
    assert [event.name for event in events] == ["start", "result", "result", "done"]
    assert [event.n for event in events] == [1, 2, 3, 4]
    assert list(outcomes(run.log)) == ["fast", "slow"]
    assert [event.data["done"] for event in events[1:3]] == [1, 2]


async def test_what_the_events_say(runs: MemoryRuns, upstreams: Upstreams) -> None:
    """Each event has the keys of the contract and no others."""
    base = upstreams.base_url
    run = await start(
        runs,
        detached(
            good=Upstream(url=base + "/flaky/x", backoff=0.0),
            streamed=Upstream(url=base + "/lines", read="lines"),
            bad=Upstream(url=base + "/status/404"),
        ),
    )
    keys = {event.name: set(event.data) for event in await ended(run)}
    streamed = outcomes(run.log)["streamed"].data
    call = {"upstream", "status", "elapsed", "first_byte", "attempts", "done", "of"}
    assert streamed.keys() == {"at", *call, "content_type", "body", "chunks"}
    assert keys["failure"] == {"at", *call, "code", "message"}
    assert keys["start"] == {"at", "run", "feed", "params", "upstreams", "time"}
    assert keys["chunk"] == {"at", "upstream", "n", "data"}
    assert keys["attempt"] == {
        *("at", "upstream", "attempt", "code", "status", "elapsed", "retry_in"),
    }
    assert keys["done"] == {"at", "ok", "failed", "cancelled", "elapsed", "reason"}


async def test_the_feeds_timeout_ends_what_is_left(runs: MemoryRuns, upstreams: Upstreams) -> None:
    """What has answered stands; the rest is `timeout`, and so is the run."""
    feed = Feed(
        "it",
        timeout=0.5,
        upstreams={
            "good": Upstream(url=upstreams.base_url + "/json"),
            "late": Upstream(url=upstreams.base_url + "/never", timeout=60.0),
        },
    )
    run = await start(runs, feed)
    await ended(run)
    late = outcomes(run.log)["late"].data
    assert (late["code"], late["message"]) == ("timeout", "waited 0.5 s for the end")
    assert done(run.log)["reason"] == "timeout"
    assert (done(run.log)["ok"], done(run.log)["failed"]) == (1, 1)
    await upstreams.wait_closed_by_peer("/never")


# ------------------------------------------------------------------------- ending it


async def test_a_stop_cancels_what_has_not_answered(runs: MemoryRuns, upstreams: Upstreams) -> None:
    """The upstream sees its client hang up, and what had answered stands."""
    base = upstreams.base_url
    run = await start(
        runs, detached(good=Upstream(url=base + "/json"), slow=Upstream(url=base + "/never"))
    )
    await until(lambda: "good" in outcomes(run.log))
    await upstreams.wait_calls("/never")
    run.stop("stopped")
    run.stop("abandoned")
    await ended(run)
    assert outcomes(run.log)["slow"].data["code"] == "cancelled"
    assert done(run.log) == {**done(run.log), "ok": 1, "cancelled": 1, "reason": "stopped"}
    await upstreams.wait_closed_by_peer("/never")


async def test_a_run_can_be_stopped_before_it_has_begun(
    runs: MemoryRuns, upstreams: Upstreams
) -> None:
    """Its task never ran, and still everything is said."""
    run = await start(runs, detached(good=Upstream(url=upstreams.base_url + "/json")))
    run.stop("stopped")
    await ended(run)
    assert [event.name for event in said(run.log)] == ["start", "failure", "done"]
    failure = outcomes(run.log)["good"].data
    assert (failure["code"], failure["elapsed"], failure["attempts"]) == ("cancelled", None, 0)
    assert not upstreams.requests


async def test_a_stop_after_the_last_outcome_changes_nothing(
    runs: MemoryRuns, upstreams: Upstreams
) -> None:
    """Be it before or after `done` is in the log."""
    run = await start(runs, detached(good=Upstream(url=upstreams.base_url + "/json")))
    task = execution_of(run)._task
    assert task is not None
    while not task.done():  # noqa: ASYNC110 - to be there between that and `done`
        await asyncio.sleep(0)
    assert not run.is_ended
    run.stop("stopped")
    await ended(run)
    run.stop("stopped")
    await asyncio.sleep(0)
    assert done(run.log)["reason"] == "finished"
    assert said(run.log)[-1].n == run.log.last == 3


async def test_an_upstream_that_cancels_itself_is_cancelled_alone(upstreams: Upstreams) -> None:
    """A library that loses its own cancellation must not end the others, nor be left out."""

    class Cancelling(Transport):
        async def open(self, call: Any, *, with_credentials: bool = True) -> Any:
            raise asyncio.CancelledError

        async def aclose(self) -> None:
            pass

    async with running(Cancelling()) as runs:
        run = await start(runs, detached(only=Upstream(url=upstreams.base_url + "/json")))
        await ended(run)
    assert outcomes(run.log)["only"].data["code"] == "cancelled"
    assert done(run.log)["reason"] == "finished"


async def test_an_error_of_ones_own_is_internal(
    upstreams: Upstreams, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, where it happened and without what it says."""

    class Failing(Transport):
        async def open(self, call: Any, *, with_credentials: bool = True) -> Any:
            raise LookupError(call.url)

        async def aclose(self) -> None:
            pass

    async with running(Failing()) as runs:
        run = await start(
            runs, detached(only=Upstream(url=upstreams.base_url + "/json?key=secret"))
        )
        await ended(run)
    assert outcomes(run.log)["only"].data["code"] == "internal"
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.message.partition("\n")[0] for record in errors] == [
        "internal error: LookupError"
    ]
    assert "secret" not in caplog.text


async def test_what_is_logged_tells_no_secret(
    runs: MemoryRuns, upstreams: Upstreams, caplog: pytest.LogCaptureFixture
) -> None:
    """One line for the run and one for the failure: no header, no query, no whole id."""
    upstream = Upstream(
        url=upstreams.base_url + "/status/404?key=secret", headers={"Authorization": "secret"}
    )
    with caplog.at_level(logging.INFO, logger="fanstream"):
        run = await start(runs, detached(only=upstream))
        await ended(run)
    failure, line = (record.getMessage() for record in caplog.records)
    assert failure.startswith("failure feed=it run=")
    assert line.startswith("run feed=it run=")
    assert "secret" not in caplog.text
    assert run.id not in caplog.text


# --------------------------------------------------------------------- full logs


async def test_a_log_that_is_full_of_outcomes_ends_the_run(upstreams: Upstreams) -> None:
    """There is no room for the next result: it is `too_large`, the rest `cancelled`."""
    body = "x" * 4000
    results = {f"r{n}": Upstream(url=f"{upstreams.base_url}/json?value={body}") for n in range(5)}
    never = Upstream(url=upstreams.base_url + "/never")
    async with running(max_log_bytes=10_000) as runs:
        run = await start(runs, detached(**results, never=never))
        await ended(run)
    codes = [event.data.get("code") for event in outcomes(run.log).values()]
    assert codes.count(None) == 2
    assert codes.count("too_large") >= 1
    assert codes[-1] == "cancelled"
    assert done(run.log)["reason"] == "limit"
    assert sum(done(run.log)[kind] for kind in ("ok", "failed", "cancelled")) == 6


async def test_chunks_go_first(upstreams: Upstreams) -> None:
    """The oldest of them; `start`, all outcomes and the newest chunks stay."""
    lines = Upstream(url=upstreams.base_url + "/lines?lines=200", read="lines")
    async with running(max_events=50) as runs:
        run = await start(
            runs, detached(lines=lines, good=Upstream(url=upstreams.base_url + "/json"))
        )
        events = await ended(run)
    assert len(events) == 50
    assert {"start", "result", "done"} <= {event.name for event in events}
    assert len(outcomes(run.log)) == 2
    chunks = [event.data["n"] for event in events if event.name == "chunk"]
    assert chunks == list(range(200 - len(chunks) + 1, 201))


# ------------------------------------------------------------------------ leaving


def leaving(upstreams: Upstreams, policy: str, *, linger: float = 0.3) -> Feed:
    never = Upstream(url=upstreams.base_url + "/never")
    return Feed("it", on_disconnect=policy, linger=linger, upstreams={"never": never})


async def test_cancel_ends_with_the_last_viewer(runs: MemoryRuns, upstreams: Upstreams) -> None:
    """Not with the first of two; then at once, and the upstream is hung up on."""
    run = await start(runs, leaving(upstreams, "cancel", linger=60.0))
    run.attach()
    run.attach()
    await upstreams.wait_calls("/never")
    run.detach()
    await asyncio.sleep(0)
    assert not run.is_stopping
    run.detach()
    await ended(run)
    assert done(run.log)["reason"] == "abandoned"
    await upstreams.wait_closed_by_peer("/never")


async def test_linger_waits_for_a_viewer_to_come_back(
    runs: MemoryRuns, upstreams: Upstreams
) -> None:
    """One that comes in time keeps the run; after the next leaving the time starts anew."""
    run = await start(runs, leaving(upstreams, "linger"))
    run.attach()
    for _ in range(3):
        run.detach()
        await asyncio.sleep(0.15)
        run.attach()
    assert not run.is_stopping
    run.detach()
    await ended(run)
    assert done(run.log)["reason"] == "abandoned"


async def test_detach_waits_for_nobody(runs: MemoryRuns, upstreams: Upstreams) -> None:
    """Neither for a first viewer nor after the last."""
    run = await start(runs, leaving(upstreams, "detach", linger=0.0))
    run.attach()
    run.detach()
    await upstreams.wait_calls("/never")
    await asyncio.sleep(0.1)
    assert not run.is_stopping


@pytest.mark.parametrize("policy", ["cancel", "linger"])
async def test_a_run_without_a_viewer_waits_for_its_first(
    runs: MemoryRuns, upstreams: Upstreams, policy: str
) -> None:
    """As long as `linger`, under `cancel` as well; then it is abandoned."""
    run = await start(runs, leaving(upstreams, policy))
    await upstreams.wait_calls("/never")
    assert not run.is_stopping
    await ended(run)
    assert done(run.log) == {**done(run.log), "reason": "abandoned", "cancelled": 1}
    assert done(run.log)["elapsed"] >= 0.29


async def test_who_is_told_of_a_run_has_time_to_come(
    runs: MemoryRuns, upstreams: Upstreams
) -> None:
    """A second POST that joins it starts `linger` anew."""
    run = await start(runs, leaving(upstreams, "linger", linger=0.4))
    for _ in range(3):
        await asyncio.sleep(0.2)
        run.expect_viewer()
    assert not run.is_stopping
    await ended(run)


async def test_a_viewer_that_comes_after_the_end_changes_nothing(
    runs: MemoryRuns, upstreams: Upstreams
) -> None:
    """A replay leaves no timer behind."""
    run = await start(runs, detached(good=Upstream(url=upstreams.base_url + "/json")))
    execution = execution_of(run)
    await ended(run)
    for watched in (run, execution):
        watched.attach()
        watched.detach()
        watched.expect_viewer()
    assert execution._leaving is None
    assert run._execution is None


# ----------------------------------------------------------------------- contexts

secret: contextvars.ContextVar[str] = contextvars.ContextVar("secret")


class Secret(str):
    """A string that can be looked for."""

    __slots__ = ("__weakref__",)


async def test_a_run_sees_nothing_of_the_request_that_started_it(
    upstreams: Upstreams,
) -> None:
    """Neither in its upstream calls nor when it is forgotten."""
    seen: list[str | None] = []

    class Looking(Transport):
        async def open(self, call: Any, *, with_credentials: bool = True) -> Any:
            seen.append(secret.get(None))
            raise LookupError

        async def aclose(self) -> None:
            pass

    async with running(Looking()) as runs:
        forget = runs._table.forget

        def look_and_forget(id: str) -> None:
            seen.append(secret.get(None))
            forget(id)

        runs._table.forget = look_and_forget  # type: ignore[method-assign]
        token = secret.set("of the request")
        feed = Feed("it", keep=0.0, upstreams={"it": Upstream(url=upstreams.base_url + "/json")})
        run = await start(runs, feed)
        secret.reset(token)
        await ended(run)
        await until(lambda: len(seen) == 2)
    assert seen == [None, None]


async def test_a_run_that_is_kept_does_not_keep_its_request(
    runs: MemoryRuns, upstreams: Upstreams
) -> None:
    """What stood in the request's context variables is gone before the run is."""
    held = [Secret("of the request")]
    feed = Feed("it", linger=60.0, upstreams={"it": Upstream(url=upstreams.base_url + "/json")})

    async def request() -> str:
        secret.set(held[0])
        run = await start(runs, feed)
        run.attach()
        run.detach()
        return run.id

    id = await asyncio.create_task(request())
    run = await runs.find(id)
    assert run is not None
    await ended(run)
    gc.collect()
    assert not [each for each in gc.get_referrers(held[0]) if each is not held]
