"""An application of somebody's own: its streams and feeds, the same under Flask and under Quart.

`own_flask` and `own_quart` register them. A generator says in `CALLED` that it was called, and in
`CLOSED` that it was closed.
"""

import asyncio
import os
import threading
import time
from collections import Counter

import httpx

from streaming import Event, Feed, Param, ServerSettings, Upstream, merge
from streaming.engine import viewer

# What was never begun is closed after this time at the latest; see `wait_shortly`.
START_TIMEOUT = 0.5

CALLED: Counter[str] = Counter()
CLOSED: Counter[str] = Counter()
_COUNTING = threading.Lock()

MAX_STREAMS = 5
SERVER = ServerSettings(max_streams=MAX_STREAMS, ping_interval=0.3, drain_timeout=1.0)


def count(counts: Counter[str], key: str) -> None:
    """Count one more, in any thread."""
    with _COUNTING:
        counts[key] += 1


def wait_shortly() -> None:
    """Have this process wait `START_TIMEOUT` for a body to begin; tests do not wait for longer."""
    viewer.START_TIMEOUT = START_TIMEOUT


_UPSTREAMS = os.environ.get("UPSTREAMS", "http://127.0.0.1:9")


# ---------------------------------------------------------------------------- streams


def plain():
    yield Event("tick", {"n": 1})
    yield {"n": 2}
    yield "two\nlines"


async def asynchronous():
    yield Event("tick", {"n": 1})
    yield {"n": 2}
    yield "two\nlines"


def raising():
    yield {"n": 1}
    raise RuntimeError("a secret of the view")


async def raising_async():
    yield {"n": 1}
    raise RuntimeError("a secret of the view")


def unwritable():
    yield {"n": object()}


async def unwritable_async():
    yield {"n": object()}


def resumed(last_event_id):
    yield Event("at", last_event_id, id="place-7")


async def resumed_async(last_event_id):
    yield Event("at", last_event_id, id="place-7")


def named(name):
    yield {"hello": name}


async def named_async(name):
    yield {"hello": name}


def slow():
    time.sleep(0.5)
    yield {"n": 1}


async def slow_async():
    await asyncio.sleep(0.5)
    yield {"n": 1}


def talking(key):
    count(CALLED, key)
    try:
        while True:
            yield {"key": key}
            time.sleep(0.05)
    finally:
        count(CLOSED, key)


async def talking_async(key):
    count(CALLED, key)
    try:
        while True:
            yield {"key": key}
            await asyncio.sleep(0.05)
    finally:
        count(CLOSED, key)


async def silent_async(key):
    count(CALLED, key)
    try:
        yield {"key": key}
        await asyncio.Event().wait()
    finally:
        count(CLOSED, key)


class HandMade:
    """What a view gives in place of a generator: it ends by itself, and says that it was closed."""

    def __init__(self, key):
        self._key = key
        self._items = iter([{"n": 1}])

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._items)

    def close(self):
        count(CLOSED, self._key)


class HandMadeAsync(HandMade):
    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self):
        self.close()


def hand_made(key):
    return HandMade(key)


def hand_made_async(key):
    return HandMadeAsync(key)


def pondering(key):
    time.sleep(1.5 * START_TIMEOUT)
    return HandMade(key)


def pondering_async(key):
    time.sleep(1.5 * START_TIMEOUT)
    return HandMadeAsync(key)


async def merged():
    async def after(value, delay):
        await asyncio.sleep(delay)
        return value

    async for event in merge(slow=after("s", 0.1), quick=after("q", 0.0)):
        yield event


STREAMS = {
    "/plain": plain,
    "/async": asynchronous,
    "/raising": raising,
    "/raising-async": raising_async,
    "/unwritable": unwritable,
    "/unwritable-async": unwritable_async,
    "/resumed": resumed,
    "/resumed-async": resumed_async,
    "/named/<name>": named,
    "/named-async/<name>": named_async,
    "/slow": slow,
    "/slow-async": slow_async,
    "/talking/<key>": talking,
    "/talking-async/<key>": talking_async,
    "/silent-async/<key>": silent_async,
    "/hand-made/<key>": hand_made,
    "/hand-made-async/<key>": hand_made_async,
    "/pondering/<key>": pondering,
    "/pondering-async/<key>": pondering_async,
    "/merged": merged,
}


# ------------------------------------------------------------------------------ feeds


FEEDS = [
    Feed(
        "echo",
        params={"word": Param(default="x")},
        upstreams={"a": Upstream(url=f"{_UPSTREAMS}/echo/{{word}}")},
    ),
    Feed(
        "held",
        params={"key": Param()},
        on_disconnect="cancel",
        upstreams={"a": Upstream(url=f"{_UPSTREAMS}/held/{{key}}")},
    ),
]
MOCKED = [Feed("mocked", upstreams={"a": Upstream(url="https://nowhere.invalid/a?b=c")})]


def own_client() -> httpx.AsyncClient:
    """A client that signs its requests."""
    return httpx.AsyncClient(auth=("user", "pass"), headers={"X-Client": "own"}, trust_env=False)


def mock_client() -> httpx.AsyncClient:
    """A client that reaches nobody."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"asked": str(request.url)})

    return httpx.AsyncClient(transport=httpx.MockTransport(answer))
