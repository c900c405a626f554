"""One upstream of one run: its attempts, until it has answered or is given up.

CONTRACT "Upstream calls" is the law: which faults are tried again and when, what each time bounds,
where a redirect may lead. The bytes come from a `Transport`; what they mean is decided in the core.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from streaming.core.call import MAX_REDIRECTS, Call, redirect
from streaming.core.content_coding import ContentDecoder
from streaming.core.entry import Data
from streaming.core.errors_upstream import BadStatus, TimedOut, UpstreamError
from streaming.core.feed import Upstream
from streaming.core.reading import Reader, make_reader
from streaming.core.retry import backoff_wait, is_retried, parse_retry_after
from streaming.core.url import Origin, parse_url
from streaming.engine.alarms import Alarms
from streaming.engine.patience import Patience
from streaming.engine.transport import Response, Transport

BODILESS_STATUSES = frozenset({204, 205, 304})

CHUNKS_AT_ONCE = 256
"""Chunks that are appended before others have their turn: one read may bring thousands."""

Emit = Callable[[str, Data], None]
"""Takes an event, by its name and its data."""

EmitChunks = Callable[[str, int, Sequence[Any]], None]
"""Takes chunks: their upstream, the number of the first, and the values of all."""

GiveWay = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What all upstream calls of a process share.

    Args:
        transport: Carries the bytes.
        slots: One for each connection that may be in use at once (`max_connections`).
        random: Gives numbers from 0 to 1, evenly distributed.
        alarms: Those of the loop.
    """

    transport: Transport
    slots: asyncio.Semaphore
    random: Callable[[], float]
    alarms: Alarms


class UpstreamCall:
    """One upstream's way through a run.

    Args:
        name: The upstream's name in its feed.
        upstream: How it is called and read.
        call: The request, ready to be sent.
        outgoing: What carries it.
        emit: Takes the `attempt` events.
        emit_chunks: Takes the `chunk` events.
        give_way: Lets others have their turn, and whoever takes the events keep up with them.
        deadline: When the whole run ends, by `time.monotonic`.
    """

    def __init__(
        self,
        name: str,
        upstream: Upstream,
        call: Call,
        *,
        outgoing: Outgoing,
        emit: Emit,
        emit_chunks: EmitChunks,
        give_way: GiveWay,
        deadline: float,
    ) -> None:
        self.name = name
        self._upstream = upstream
        self._call = call
        self._outgoing = outgoing
        self._emit = emit
        self._emit_chunks = emit_chunks
        self._let_others = give_way
        self._deadline = deadline
        self._attempts = 0
        self._chunks = 0
        self._started: float | None = None
        self._attempt_started = 0.0
        self._patience = Patience(outgoing.alarms)
        self._status: int | None = None
        self._first_byte: float | None = None
        self._retry_after: str | None = None

    def facts(self) -> Data:
        """Say what an outcome says of the call, whatever became of it."""
        elapsed = None if self._started is None else time.monotonic() - self._started
        return {
            "upstream": self.name,
            "status": self._status,
            "elapsed": _rounded(elapsed),
            "first_byte": _rounded(self._first_byte),
            "attempts": self._attempts,
        }

    async def execute(self) -> Data:
        """Call the upstream until it answers; return the data of its `result`.

        Raises:
            UpstreamError: It is given up.
        """
        timeout = self._upstream.timeout
        if timeout is None:
            return await self._try_until_answered()
        self._deadline = min(self._deadline, time.monotonic() + timeout)
        try:
            async with asyncio.timeout(timeout):
                return await self._try_until_answered()
        except TimeoutError as exc:
            raise TimedOut("end", timeout) from exc

    async def _try_until_answered(self) -> Data:
        while True:
            try:
                return await self._attempt()
            except UpstreamError as error:
                wait = self._wait_after(error)
                if wait is None:
                    raise
                self._emit("attempt", self._attempt_facts(error, wait))
            await asyncio.sleep(wait)

    async def _attempt(self) -> Data:
        self._status = self._first_byte = self._retry_after = None
        async with self._outgoing.slots:
            self._attempt_started = time.monotonic()
            self._started = self._started or self._attempt_started
            self._attempts += 1
            with self._patience:
                self._patience.expect("head", within=self._upstream.first_byte_timeout)
                response = await self._open()
                try:
                    return await self._read(response)
                finally:
                    await response.aclose()

    async def _open(self) -> Response:
        """Send the request and follow its redirects, as far as they may be followed."""
        call, with_credentials, redirects = self._call, True, 0
        while True:
            response = await self._outgoing.transport.open(call, with_credentials=with_credentials)
            self._receive_head(response)
            target = self._redirect_of(call, response) if redirects < MAX_REDIRECTS else None
            if target is None:
                return response
            await response.aclose()
            # What follows has not answered yet, and a redirect is not the head that is waited for.
            self._status = self._first_byte = self._retry_after = None
            with_credentials = with_credentials and _origin(call) == _origin(target)
            call, redirects = target, redirects + 1

    def _receive_head(self, response: Response) -> None:
        self._first_byte = time.monotonic() - self._attempt_started
        self._status = response.status
        self._retry_after = response.header("retry-after")

    def _redirect_of(self, call: Call, response: Response) -> Call | None:
        if not self._upstream.follow_redirects:
            return None
        location = response.header("location")
        hosts = self._upstream.redirect_hosts
        return redirect(call, status=response.status, location=location, hosts=hosts)

    async def _read(self, response: Response) -> Data:
        if not self._upstream.is_ok(response.status):
            raise BadStatus(response.status)
        content_type = response.header("content-type")
        reader = make_reader(
            self._upstream.read,
            content_type=content_type,
            max_bytes=self._upstream.effective_max_bytes,
            max_piece_bytes=self._upstream.max_piece_bytes,
        )
        if response.status not in BODILESS_STATUSES and self._call.method != "HEAD":
            await self._read_body(response, reader)
        result = self.facts()
        result["content_type"] = content_type
        result["body"] = reader.value
        if reader.is_streamed:
            result["chunks"] = self._chunks
        return result

    async def _read_body(self, response: Response, reader: Reader) -> None:
        decoder = ContentDecoder(response.header("content-encoding"))
        idle_timeout = self._upstream.idle_timeout
        self._patience.expect("body", within=idle_timeout)
        while piece := await response.read():
            for data in decoder.decode(piece):
                chunks = reader.feed(data)
                if reader.is_streamed:
                    await self._pass_on(chunks)
                    if reader.is_complete:
                        return
                    await self._give_way()
            self._patience.expect("body", within=idle_timeout)
        decoder.flush()
        chunks = reader.finish()
        if reader.is_streamed:
            await self._pass_on(chunks)

    async def _pass_on(self, chunks: Iterator[Any]) -> None:
        while self._pass_some_on(chunks) == CHUNKS_AT_ONCE:
            await self._give_way()

    def _pass_some_on(self, chunks: Iterator[Any]) -> int:
        """Append the next chunks at once, those before a fault too; return how many there were."""
        some: list[Any] = []
        try:
            # Extended one by one: those before a fault are in.
            some.extend(islice(chunks, CHUNKS_AT_ONCE))
        finally:
            if some:
                self._chunks += len(some)
                self._emit_chunks(self.name, self._chunks - len(some) + 1, some)
        return len(some)

    async def _give_way(self) -> None:
        """Let others have their turn: a body that is always there already must not keep the loop.

        Their time is not the upstream's, which is given all of its own again.
        """
        self._patience.expect("body", within=self._upstream.idle_timeout)
        await self._let_others()

    def _wait_after(self, error: UpstreamError) -> float | None:
        """Return the seconds until the next attempt; None where the upstream is given up."""
        upstream = self._upstream
        if self._attempts >= upstream.max_attempts or not is_retried(
            error,
            retry_statuses=upstream.retry_statuses,
            has_head=self._status is not None,
            has_chunks=self._chunks > 0,
        ):
            return None
        wait = parse_retry_after(self._retry_after, now=datetime.now(UTC))
        if wait is None:
            wait = backoff_wait(
                self._attempts,
                backoff=upstream.backoff,
                max_backoff=upstream.max_backoff,
                random_fraction=self._outgoing.random(),
            )
        return wait if time.monotonic() + wait < self._deadline else None

    def _attempt_facts(self, error: UpstreamError, wait: float) -> Data:
        return {
            "upstream": self.name,
            "attempt": self._attempts,
            "code": error.code,
            "status": self._status,
            "elapsed": round(time.monotonic() - self._attempt_started, 6),
            "retry_in": round(wait, 6),
        }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _origin(call: Call) -> Origin:
    return parse_url(call.url).origin
