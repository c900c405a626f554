"""The log of a run in Redis, as the process that executes the run writes it.

What is appended waits here until Redis has accepted it, and only then comes into the log that
viewers read, which is a copy in memory. Where the reply is lost the same is sent again: the script
passes over what is there already. Redis may be away for as long as what waits has room
(`MAX_WAITING_BYTES`, and the bounds of logs); then the log is full, and the run says so.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import groupby
from time import monotonic
from typing import Any

from streaming.core import codec
from streaming.core.entry import Data, Entry
from streaming.engine.alarms import Alarms
from streaming.engine.log_memory import LogFull, MemoryLog
from streaming.engine.redis_keys import log_key, meta_key, viewers_key, wake_channel
from streaming.engine.redis_link import LinkDown, RedisLink
from streaming.engine.redis_scripts import APPEND, FENCED, GONE

MAX_WAITING_BYTES = 8_388_608
"""Bytes of one run's events that wait for Redis at most; the run that has more ends (`limit`)."""

FLOWING_BYTES = 1_048_576
"""Bytes that may wait before an upstream that is read as a stream is read no further."""

STALL = 1.0
"""Seconds for which it is not: then its events wait as others do, up to the bound."""

MAX_APPENDED_EVENTS = 512
MAX_APPENDED_BYTES = 1_048_576
"""Events, and bytes, after which a call takes no more with it."""

RETRY_WAIT = 0.25
"""Seconds until what Redis did not take is sent again."""

MIN_KEEP = 10.0
"""Seconds that an ended run is in Redis at least: other processes have to read its end."""

_Waiting = tuple[str, bytes]


def in_redis(keep: float) -> float:
    """Return the seconds that a run is in Redis, after its end, that is kept for so many."""
    return max(keep, MIN_KEEP)


class RedisLogWriter:
    """See `streaming.engine.log_writer.LogWriter`.

    Args:
        run: The run's id.
        log: The copy that viewers read, up to the last event.
        token: The fencing token of this process.
        keep: Seconds that the log is kept after its end.
        link: What it is sent over.
        alarms: Those of the loop.
        on_lost: Called once, where the run is not this process's any more: with whether it is gone
            altogether.
        on_stop: Called with the reason where somebody wants the run to be ended.
    """

    def __init__(
        self,
        run: str,
        *,
        log: MemoryLog,
        token: int,
        keep: float,
        link: RedisLink,
        alarms: Alarms,
        on_lost: Callable[[bool], None],
        on_stop: Callable[[str], None],
    ) -> None:
        self.max_bytes = log.max_bytes
        self._keys = [meta_key(run), log_key(run), viewers_key(run)]
        self._channel = wake_channel(run)
        self._log = log
        self._token = token
        self._keep_ms = int(in_redis(keep) * 1000)
        self._link = link
        self._on_lost = on_lost
        self._on_stop = on_stop
        # The last event that Redis has accepted, as far as is known here. A read that was under way
        # when the run was taken over may bring the copy beyond it, with events that wait here.
        self._accepted = log.last
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._sent: Sequence[_Waiting] = ()
        self._is_sending = False
        self._is_closed = False
        # Where Redis has lost what it had accepted, the number up to which it goes now.
        self._behind: int | None = None
        self._retry = alarms.make(self._send)
        self._progress = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def append(self, name: str, data: Data, *, force: bool = False) -> int:
        """See `LogWriter`; nothing where the run is another process's by now."""
        self._push(name, codec.encode_again(data), force=force)
        return self._accepted + len(self._waiting)

    def extend(self, name: str, payloads: Sequence[bytes]) -> None:
        """See `LogWriter`."""
        for payload in payloads:
            self._push(name, payload, force=False)

    async def give_way(self) -> None:
        """See `LogWriter`: where much waits, until Redis has taken some, for `STALL` at most."""
        if self._waiting_bytes < FLOWING_BYTES:
            await asyncio.sleep(0)
            return
        self._progress.clear()
        try:
            async with asyncio.timeout(STALL):
                await self._progress.wait()
        except TimeoutError:
            return

    async def flush(self) -> None:
        """Wait until all that was appended until now is accepted."""
        through = self._accepted + len(self._waiting)
        while self._accepted < through and not self._is_closed:
            self._progress.clear()
            await self._progress.wait()

    def close(self) -> None:
        """Append nothing any more."""
        self._is_closed = True
        self._retry.close()
        for event in self._waiting:
            self._log.release(*event)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._progress.set()

    def _push(self, name: str, payload: bytes, *, force: bool) -> None:
        if self._is_closed:
            return
        if not force and self._waiting_bytes + len(payload) > MAX_WAITING_BYTES:
            raise LogFull
        self._log.reserve(name, payload, force=force)
        self._waiting.append((name, payload))
        self._waiting_bytes += len(payload)
        if not self._is_sending:
            self._is_sending = True
            # Together with all that is appended in this turn.
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        if self._is_closed:
            return
        self._is_sending = True
        first, self._sent = self._choose()
        names_and_payloads = [part for event in self._sent for part in event]
        is_end = bool(self._sent) and self._sent[-1][0] == "done"
        self._link.run_script(
            APPEND,
            self._keys,
            self._token,
            first,
            self._log.trimmed_through,
            self._keep_ms if is_end else "",
            self._channel,
            *names_and_payloads,
        ).add_done_callback(self._receive)

    def _choose(self) -> tuple[int, Sequence[_Waiting]]:
        """Return what is sent next, and the number of the first of it."""
        if self._behind is not None:
            lost = self._log.read(self._behind, max_bytes=MAX_APPENDED_BYTES).entries
            return _first_number(lost), [(entry.name, entry.payload) for entry in lost]
        size, chosen = 0, []
        for event in self._waiting:
            chosen.append(event)
            size += len(event[1])
            if len(chosen) >= MAX_APPENDED_EVENTS or size >= MAX_APPENDED_BYTES:
                break
        return self._accepted + 1, chosen

    def _receive(self, reply: "asyncio.Future[Any]") -> None:
        if self._is_closed or reply.cancelled():
            return
        if isinstance(reply.exception(), LinkDown):
            self._retry.set(monotonic() + RETRY_WAIT)
            return
        last, stop = reply.result()
        if last in (FENCED, GONE):
            self._on_lost(last == GONE)
            return
        if last < self._accepted:
            self._receive_behind(last)
        elif self._behind is not None:
            self._behind = None
        else:
            self._accept(last)
        if stop:
            self._on_stop(stop.decode())
        self._progress.set()
        if self._is_closed:
            return
        if self._waiting or self._behind is not None:
            self._send()
        else:
            self._is_sending = False

    def _receive_behind(self, last: int) -> None:
        """Send again what Redis had accepted and has lost, as a failover may lose it."""
        if last == self._behind or self._log.trimmed_through > last:
            self._on_lost(True)  # it is not here any more either
        else:
            self._behind = last

    def _accept(self, last: int) -> None:
        count = min(last - self._accepted, len(self._waiting))
        accepted = [self._waiting.popleft() for _ in range(count)]
        known = self._log.last - self._accepted
        self._accepted += count
        for event in accepted:
            self._log.release(*event)
            self._waiting_bytes -= len(event[1])
        for name, group in groupby(accepted[known:], key=_name):
            self._log.take(name, [payload for _, payload in group])


def _name(event: _Waiting) -> str:
    return event[0]


def _first_number(entries: Sequence[Entry]) -> int:
    return entries[0].n
