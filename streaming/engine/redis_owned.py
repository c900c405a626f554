"""The runs that this process executes: their logs, and who else has viewers of them."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from streaming.engine.alarms import Alarms
from streaming.engine.backlog import Backlog
from streaming.engine.execution import Execution
from streaming.engine.log_memory import MemoryLog
from streaming.engine.log_redis import RedisLogWriter
from streaming.engine.redis_keys import PROCESSES, meta_key, owned_key, viewers_key
from streaming.engine.redis_link import LinkDown
from streaming.engine.redis_process import RETRY_WAIT, RedisProcess

SETTLE_TIMEOUT = 0.5
"""Seconds that who asks for a run waits for its events to be accepted."""


@dataclass(slots=True, kw_only=True)
class Owned:
    """A run that is executed here.

    Args:
        writer: Its log.
        token: The fencing token.
        execution: What executes it; None where only its end is still to be written.
        processes: The others that have viewers of it, as the execution knows.
    """

    writer: RedisLogWriter
    token: int
    execution: Execution | None = None
    processes: set[str] = field(default_factory=set)


class RedisOwned:
    """What a process executes.

    Args:
        process: This process.
        alarms: Those of the loop.
        on_lost: Called with the id of a run that is this process's no more, and whether it is gone
            altogether.
    """

    def __init__(
        self, process: RedisProcess, *, alarms: Alarms, on_lost: Callable[[str, bool], None]
    ) -> None:
        self._process = process
        self._alarms = alarms
        self._on_lost = on_lost
        self._owned: dict[str, Owned] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._uncounted: Backlog[str] = Backlog()

    def __contains__(self, id: str) -> bool:
        return id in self._owned

    def take(self, id: str, log: MemoryLog, *, token: int, keep: float) -> Owned:
        """Write a run's log from now on.

        Args:
            id: The run's id.
            log: The copy of its log, up to the last event.
            token: The fencing token.
            keep: Seconds that the run is kept after its end.
        """
        writer = RedisLogWriter(
            id,
            log=log,
            token=token,
            keep=keep,
            link=self._process.writes,
            alarms=self._alarms,
            on_lost=lambda is_gone: self._on_lost(id, is_gone),
            on_stop=lambda reason: self.stop(id, reason),
        )
        owned = self._owned[id] = Owned(writer=writer, token=token)
        self._idle.clear()
        self._uncounted.add(id)
        return owned

    async def settle(self, id: str) -> None:
        """Wait until what was appended to a run is in Redis, for `SETTLE_TIMEOUT` at most.

        Others may have seen an event before this process was told that it is accepted.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_TIMEOUT):
                await self._owned[id].writer.flush()

    def drop(self, id: str) -> Owned | None:
        """Write no more of a run; None where it was not written here."""
        owned = self._owned.pop(id, None)
        if owned is not None:
            owned.writer.close()
            self._process.writes.call("SREM", owned_key(self._process.id), id)
            if not self._owned:
                self._idle.set()
        return owned

    def stop(self, id: str, reason: str) -> None:
        """End a run, if it is executed here."""
        owned = self._owned.get(id)
        if owned is not None and owned.execution is not None:
            owned.execution.stop(reason)

    def expect_viewer(self, id: str) -> None:
        """Have a run wait for a viewer anew, if it is executed here."""
        owned = self._owned.get(id)
        if owned is not None and owned.execution is not None:
            owned.execution.expect_viewer()

    def count(self, id: str) -> None:
        """Look anew which processes have viewers of a run."""
        self._uncounted.add(id)

    def count_all(self) -> None:
        """Do so for all runs: a process may have died, with its viewers."""
        for id in self._owned:
            self._uncounted.add(id)

    async def wait_idle(self) -> None:
        """Wait until none is executed here."""
        await self._idle.wait()

    async def check(self, *, together: int, pause: float) -> None:
        """Look which runs are still this process's, and which are to be ended.

        Args:
            together: How many are looked at together.
            pause: Seconds until the next are.

        Raises:
            LinkDown: Redis is not reached.
        """
        ids = list(self._owned)
        for n in range(0, len(ids), together):
            await self._check_some(ids[n : n + together])
            await asyncio.sleep(pause)

    async def _check_some(self, ids: list[str]) -> None:
        # Where it is written: another server, as after a failover, may know less. And they are said
        # to be this process's once more, should that server have lost it.
        self._process.writes.call("SADD", owned_key(self._process.id), *ids)
        metas = await asyncio.gather(
            *(self._process.writes.call("HMGET", meta_key(id), "token", "stop") for id in ids)
        )
        for id, (token, stop) in zip(ids, metas, strict=True):
            owned = self._owned.get(id)
            if owned is None:
                continue
            if token is None or int(token) != owned.token:
                self._on_lost(id, token is None)
                continue
            self._uncounted.add(id)
            if stop:
                self.stop(id, stop.decode())

    async def hand_over(self, *, within: float) -> None:
        """Execute nothing any more, and let the others take it.

        Args:
            within: Seconds that events have to get to Redis.
        """
        for owned in self._owned.values():
            if owned.execution is not None:
                owned.execution.halt()
        try:
            async with asyncio.timeout(within):
                for owned in list(self._owned.values()):
                    await owned.writer.flush()
                await self._process.lease.give_back()
        except (LinkDown, TimeoutError):
            pass  # the others find out by themselves, when the lease ends
        # Not dropped: what is in the set of this process is what the others take.
        for owned in self._owned.values():
            owned.writer.close()
        self._owned.clear()
        self._idle.set()

    async def run(self) -> None:
        """Tell executions which other processes have viewers, whenever that may have changed."""
        while True:
            ids = [id for id in await self._uncounted.take() if id in self._owned]
            try:
                viewing = await self.viewing(ids)
            except LinkDown:
                for id in ids:
                    self._uncounted.add(id)
                await asyncio.sleep(RETRY_WAIT)
                continue
            for id, processes in zip(ids, viewing, strict=True):
                self.receive_viewing(id, processes)

    async def viewing(self, ids: Sequence[str]) -> list[set[str]]:
        """Return the other processes that have viewers of each of these runs.

        Raises:
            LinkDown: Redis is not reached.
        """
        sets = await asyncio.gather(
            *(self._process.reads.call("SMEMBERS", viewers_key(id)) for id in ids)
        )
        alive = await self._alive({member for members in sets for member in members})
        return [{m.decode() for m in members if m in alive} for members in sets]

    async def _alive(self, processes: set[bytes]) -> set[bytes]:
        """Return which of these processes hold their lease; this one is not asked for."""
        others = sorted(processes - {self._process.id.encode()})
        if not others:
            return set()
        ends = await self._process.reads.call("ZMSCORE", PROCESSES, *others)
        is_alive = self._process.lease.is_alive
        return {
            process
            for process, end in zip(others, ends, strict=True)
            if is_alive(None if end is None else float(end))
        }

    def receive_viewing(self, id: str, processes: set[str]) -> None:
        """Tell a run's execution which other processes have viewers now."""
        owned = self._owned.get(id)
        if owned is None or owned.execution is None:
            return
        before, owned.processes = owned.processes, processes
        for _ in processes - before:
            owned.execution.attach()
        for _ in before - processes:
            owned.execution.detach()
