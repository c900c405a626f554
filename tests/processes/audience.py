"""Viewers that come back: many at once, each of which has to see all of its run, and once.

What they see is compared as it comes: the first viewer that sees an event says what it is, and all
others have to see the same bytes.
"""

import asyncio
import json
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp

# Seconds. Beats come each second, so that a stream is broken on which nothing comes.
SILENCE = 8.0
_CONNECT_TIMEOUT = 5.0

# What is held of a stream while a line is waited for, by which aiohttp bounds lines too.
_READ_BYTES = 1 << 20
_MIN_WAIT, _MAX_WAIT = 0.05, 1.0
MAX_ATTEMPTS = 200

_NUMBERED = re.compile(rb'\{"event":"(\w+)","id":"([0-9a-f]{32})-(\d+)","data":')
_AGAIN = (502, 503, 504)


@dataclass(slots=True)
class Story:
    """What the viewers of one run have seen.

    Attributes:
        run: The run's id.
        lines: Each event as it was first seen, the n-th being event n.
        seen: When that was, by `time.monotonic`.
        ends: How many viewers have seen `done`.
    """

    run: str
    lines: list[bytes] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)
    ends: int = 0

    def take(self, n: int, line: bytes) -> None:
        """Take what a viewer has seen as event n.

        Raises:
            AssertionError: Another has seen something else.
        """
        if n == len(self.lines) + 1:
            self.lines.append(line)
            self.seen.append(time.monotonic())
        assert line == self.lines[n - 1], f"{line!r} and {self.lines[n - 1]!r}"

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events, decoded."""
        return [json.loads(line) for line in self.lines]

    def named(self, name: str, **data: Any) -> list[dict[str, Any]]:
        """The data of the events of a name that have these members."""
        return [
            event["data"]
            for event in self.events
            if event["event"] == name and data.items() <= event["data"].items()
        ]

    @property
    def done(self) -> dict[str, Any]:
        """The data of the last event, which has to be `done`."""
        last = json.loads(self.lines[-1])
        assert last["event"] == "done", last
        data: dict[str, Any] = last["data"]
        return data


class Audience:
    """Viewers, and what has happened to them; to be entered.

    Args:
        base_url: Where they ask, unless told otherwise.
        timeout: Seconds in which each of them has to see the end.

    Attributes:
        stories: What they have seen, by run.
        counts: `viewers`, `events` that all of them have seen, `beats`, `breaks` of connections,
            `shutdown`s, and refusals by status.
    """

    def __init__(self, base_url: str, *, timeout: float = 70.0) -> None:
        self.stories: dict[str, Story] = {}
        self.counts: Counter[str] = Counter()
        self._base_url = base_url
        self._timeout = timeout
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_TIMEOUT, sock_read=SILENCE
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=timeout,
            read_bufsize=_READ_BYTES,
        )
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._group.__aexit__(kind, fault, trace)
        finally:
            await self._session.close()

    @property
    def reconnects(self) -> int:
        """How often viewers had to come back."""
        return self.counts["connections"] - self.counts["viewers"]

    def summary(self) -> str:
        """Return the counts on a line."""
        return ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))

    async def start_run(
        self, feed: str, params: dict[str, Any], *, base_url: str | None = None
    ) -> str:
        """Start a run, trying again where nobody can be asked; return its id.

        Whoever is not answered does not know whether there is a run, so each try has a `key` of its
        own: that of `params`, and from the second on its number behind it.
        """
        for attempt in range(MAX_ATTEMPTS):
            body = {**params, "key": f"{params['key']}-{attempt}"} if attempt else params
            try:
                status, run = await self.post(feed, body, base_url=base_url)
            except (aiohttp.ClientError, TimeoutError):
                self.counts["posts_broken"] += 1
            else:
                if run:
                    return run
                assert status in _AGAIN
                self.counts[f"posts_{status}"] += 1
            await _back_off(attempt)
        raise AssertionError("no run could be started")

    async def post(
        self, feed: str, params: dict[str, Any], *, base_url: str | None = None
    ) -> tuple[int, str]:
        """Ask for a run once; return the status, and the run's id where there is one."""
        url = f"{base_url or self._base_url}/feeds/{feed}"
        async with self._session.post(url, json=params) as response:
            return response.status, response.headers.get("Location", "").rpartition("/")[2]

    async def delete(self, run: str, *, base_url: str | None = None) -> int:
        """End a run; return the status."""
        url = f"{base_url or self._base_url}/runs/{run}"
        async with self._session.delete(url) as response:
            return response.status

    def watch(
        self, run: str, *, viewers: int = 1, base_url: str | None = None
    ) -> "list[asyncio.Task[None]]":
        """Have so many viewers watch a run to its end."""
        self.counts["viewers"] += viewers
        return [
            self._group.create_task(self._watch(run, base_url or self._base_url))
            for _ in range(viewers)
        ]

    def story(self, run: str) -> Story:
        """What the viewers of a run have seen."""
        return self.stories.setdefault(run, Story(run))

    async def wait_event(
        self, run: str, name: str, *, timeout: float = 20.0, count: int = 1, **data: Any
    ) -> None:
        """Wait until somebody has seen so many events of a name."""
        async with asyncio.timeout(timeout):
            while len(self.story(run).named(name, **data)) < count:
                self._changed.clear()
                await self._changed.wait()

    async def wait_count(self, name: str, count: int, *, timeout: float = 20.0) -> None:
        """Wait until so much has been counted, such as 10 `open`."""
        async with asyncio.timeout(timeout):
            while self.counts[name] < count:
                self._changed.clear()
                await self._changed.wait()

    async def wait_beats(self, count: int) -> None:
        """Wait until so many beats more have come, to whomever."""
        await self.wait_count("beats", self.counts["beats"] + count)

    async def _watch(self, run: str, base_url: str) -> None:
        story, cursor, attempt = self.story(run), 0, 0
        url = f"{base_url}/runs/{run}?format=ndjson"
        async with asyncio.timeout(self._timeout):
            while True:
                headers = {"Last-Event-ID": f"{run}-{cursor}"} if cursor else {}
                self.counts["connections"] += 1
                before = cursor
                try:
                    async with self._session.get(url, headers=headers) as response:
                        if response.status in _AGAIN:
                            self.counts[f"gets_{response.status}"] += 1
                        else:
                            assert response.status == 200, (response.status, await response.text())
                            async for line in response.content:
                                cursor = self._take(story, cursor, line)
                                if cursor < 0:
                                    return
                except (aiohttp.ClientError, TimeoutError) as fault:
                    self.counts[f"breaks_{type(fault).__name__}"] += 1
                attempt = attempt + 1 if cursor == before else 0
                assert attempt < MAX_ATTEMPTS, f"{run}: nothing behind {cursor}"
                await _back_off(attempt)

    def _take(self, story: Story, cursor: int, line: bytes) -> int:
        """Take a line, and return the number of the last event; -1 behind `done`."""
        head = _NUMBERED.match(line)
        if head is None:
            self._take_unnumbered(line)
            return cursor
        if not line.endswith(b"\n"):
            return cursor  # the stream broke off in the middle of it
        name, run, n = head[1], head[2].decode(), int(head[3])
        assert (run, n) == (story.run, cursor + 1), f"{run}-{n} behind {story.run}-{cursor}"
        story.take(n, line)
        self.counts["events"] += 1
        self._changed.set()
        if name != b"done":
            return n
        story.ends += 1
        return -1

    def _take_unnumbered(self, line: bytes) -> None:
        if not line.endswith(b"\n"):
            return
        event = json.loads(line)["event"]
        assert event in ("open", "ping", "shutdown"), line
        self.counts[{"ping": "beats"}.get(event, event)] += 1
        self._changed.set()


async def _back_off(attempt: int) -> None:
    ceiling = min(_MAX_WAIT, _MIN_WAIT * 2 ** min(attempt, 10))
    await asyncio.sleep(random.uniform(_MIN_WAIT / 2, ceiling))
