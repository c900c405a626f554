"""Whatever upstreams do and whenever a run is stopped: what must be so of every log.

Upstreams are scripted in memory, so that hypothesis can try thousands of interleavings; the same
runs against real ones are in `test_run`.
"""

import asyncio
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.core.call import Call, ConnectionOptions
from streaming.core.errors_upstream import ConnectFailed, Disconnected
from streaming.core.feed import Feed, Upstream
from tests.fan_out import Said, free_slots, make_runs, said, start
from tests.fan_out import outgoing as carrying

# How an upstream behaves: how many turns of the loop pass before each of its steps, and then what.
TURNS = st.integers(0, 3)
ENDS = st.sampled_from(["whole", "broken", "bug", "never", "lost-cancellation"])
PIECES = st.lists(st.sampled_from([b"line\n", b"two\nlines\n", b"half", b"\xff\n"]), max_size=3)
SCRIPTS = st.fixed_dictionaries(
    {
        "turns": TURNS,
        "status": st.sampled_from([200, 200, 200, 204, 404, 503]),
        "refuses": st.integers(0, 2),
        "pieces": PIECES,
        "end": ENDS,
        "read": st.sampled_from(["lines", "text"]),
        "timeout": st.sampled_from([None, None, 0.001]),
    }
)
STOPS = st.one_of(
    st.none(),
    st.tuples(st.integers(0, 20), st.sampled_from(["stopped", "abandoned", "shutdown"])),
)
Script = dict[str, Any]


class ScriptedTransport:
    """Answers by script, and counts the responses that nobody has closed."""

    def __init__(self, scripts: list[Script]) -> None:
        self.open_responses = 0
        self._scripts = scripts
        self._refusals: Counter[int] = Counter()

    def check(self, options: ConnectionOptions) -> None:
        pass

    async def open(self, call: Call, *, with_credentials: bool = True) -> "ScriptedResponse":
        number = int(call.url.rpartition("/")[2])
        script = self._scripts[number]
        await turns(script["turns"])
        if self._refusals[number] < script["refuses"]:
            self._refusals[number] += 1
            raise ConnectFailed
        return ScriptedResponse(self, script)

    async def aclose(self) -> None:
        pass


class ScriptedResponse:
    def __init__(self, transport: ScriptedTransport, script: Script) -> None:
        self.status = script["status"]
        self._transport = transport
        self._turns = script["turns"]
        self._pieces = list(script["pieces"])
        self._end = script["end"]
        transport.open_responses += 1

    def header(self, name: str) -> str | None:
        return "0" if name == "retry-after" else None

    async def read(self) -> bytes:
        await turns(self._turns)
        if self._pieces:
            return self._pieces.pop(0)
        if self._end == "whole":
            return b""
        if self._end == "broken":
            raise Disconnected
        if self._end == "bug":
            raise LookupError
        if self._end == "lost-cancellation":
            raise asyncio.CancelledError
        return await asyncio.get_running_loop().create_future()

    async def aclose(self) -> None:
        self._transport.open_responses -= 1


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def feed_of(scripts: list[Script]) -> Feed:
    upstreams = {
        f"u{n}": Upstream(
            url=f"http://host/{n}",
            read=script["read"],
            timeout=script["timeout"],
            idle_timeout=0.02,
            backoff=0.0,
        )
        for n, script in enumerate(scripts)
    }
    return Feed("it", timeout=5.0, on_disconnect="detach", upstreams=upstreams)


@settings(max_examples=250, deadline=None)
@given(
    scripts=st.lists(SCRIPTS, min_size=1, max_size=5),
    stop=STOPS,
    max_events=st.sampled_from([2, 6, 1000]),
    max_connections=st.sampled_from([1, 2, 100]),
)
def test_every_log_keeps_the_contract(
    scripts: list[Script], stop: Any, max_events: int, max_connections: int
) -> None:
    """One outcome for each upstream after its chunks, counts that add up, `done` last, no rest."""

    async def execute() -> list[Said]:
        transport = ScriptedTransport(scripts)
        async with carrying(transport, max_connections=max_connections) as outgoing:
            runs = make_runs(outgoing, max_events=max_events)
            run = await start(runs, feed_of(scripts))
            if stop is not None:
                await turns(stop[0])
                run.stop(stop[1])
            await asyncio.wait_for(run.wait_ended(), 10)
            events = said(run.log)
            await turns(5)
            assert said(run.log) == events
            await runs.aclose()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert free_slots(outgoing) == max_connections
        assert transport.open_responses == 0
        return events

    hold_to_contract(asyncio.run(execute()), scripts, is_whole=max_events == 1000)


def hold_to_contract(events: list[Said], scripts: list[Script], *, is_whole: bool) -> None:
    names = [event.name for event in events]
    assert names[0] == "start"
    assert names.count("done") == 1
    assert names[-1] == "done"
    ups = [f"u{n}" for n in range(len(scripts))]
    came = [event for event in events if event.name in ("result", "failure")]
    assert sorted(event.data["upstream"] for event in came) == ups
    assert [event.data["done"] for event in came] == list(range(1, len(ups) + 1))
    hold_counts(events[-1].data, came)
    if is_whole:
        assert [event.n for event in events] == list(range(1, len(events) + 1))
        for upstream in ups:
            hold_upstream([e for e in events if e.data.get("upstream") == upstream])


def hold_counts(done: dict[str, Any], came: list[Said]) -> None:
    codes = [event.data.get("code") for event in came]
    assert done["ok"] == codes.count(None)
    assert done["cancelled"] == codes.count("cancelled")
    assert done["ok"] + done["failed"] + done["cancelled"] == len(came)


def hold_upstream(events: list[Said]) -> None:
    """Attempts, then chunks counted from 1, then the outcome, which counts both."""
    kinds = [event.name for event in events]
    assert kinds == [*sorted(kinds[:-1], key=["attempt", "chunk"].index), kinds[-1]]
    chunks = [event.data["n"] for event in events if event.name == "chunk"]
    assert chunks == list(range(1, len(chunks) + 1))
    outcome = events[-1].data
    assert outcome["attempts"] >= kinds.count("attempt")
    if "chunks" in outcome:
        assert outcome["chunks"] == len(chunks)
