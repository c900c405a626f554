"""A run as viewers and the interface see it: its log, who views it, and what executes it.

The execution may be here (`streaming.engine.execution`) or in another process; either way a viewer
only reads the log, and what its coming and leaving mean is for the execution to decide.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from streaming.core.feed import Feed
from streaming.engine.log_memory import MemoryLog


class Executing(Protocol):
    """What executes a run, wherever that is."""

    @property
    def is_stopping(self) -> bool:
        """Whether the run is being ended: nobody new should join it."""
        ...

    def attach(self) -> None:
        """Count a viewer that comes."""
        ...

    def detach(self) -> None:
        """Count a viewer that leaves; the last one's leaving may end the run."""
        ...

    def expect_viewer(self) -> None:
        """Wait `linger` anew where nobody views the run: someone has just been told of it."""
        ...

    def stop(self, reason: str) -> None:
        """End the run now; harmless when it has ended.

        Args:
            reason: What `done` will say: `stopped`, `abandoned`, `limit` or `shutdown`.
        """
        ...


class Run:
    """One execution of a feed with given parameters.

    Made and used on the engine's loop only.

    Args:
        id: Its unguessable name.
        feed: What is executed.
        params: The parameters, bound.
        caller: Who started it; empty without authentication.
        log: Its events.
        on_end: Called once, when `done` is in the log.
    """

    def __init__(
        self,
        id: str,
        *,
        feed: Feed,
        params: Mapping[str, Any],
        caller: str,
        log: MemoryLog,
        on_end: Callable[["Run"], None],
    ) -> None:
        self.id = id
        self.feed = feed
        self.params = params
        self.caller = caller
        self.log = log
        self.viewers = 0
        self._on_end = on_end
        self._execution: Executing | None = None
        self._ended: asyncio.Event | None = None
        log.on_end = self._receive_end

    @property
    def is_ended(self) -> bool:
        """Say whether `done` is in the log."""
        return self.log.is_ended

    @property
    def is_stopping(self) -> bool:
        """Say whether the run is being ended, or has ended: nobody new should join it."""
        return self.is_ended or (self._execution is not None and self._execution.is_stopping)

    def id_at(self, n: int) -> str:
        """Return the id of one of its events."""
        return f"{self.id}-{n}"

    def execute_by(self, execution: Executing) -> None:
        """Have it executed by this from now on, which is told of the viewers that are there."""
        if self.is_ended:
            return
        self._execution = execution
        for _ in range(self.viewers):
            execution.attach()

    def stop(self, reason: str) -> None:
        """End the run now: what has not answered is cancelled. Harmless when it has ended.

        Args:
            reason: As in `Executing.stop`.
        """
        if self._execution is not None:
            self._execution.stop(reason)

    async def wait_ended(self) -> None:
        """Wait until `done` is in the log."""
        if self.is_ended:
            return
        if self._ended is None:
            self._ended = asyncio.Event()
        await self._ended.wait()

    def attach(self) -> None:
        """Count a viewer that comes."""
        self.viewers += 1
        if self._execution is not None:
            self._execution.attach()

    def expect_viewer(self) -> None:
        """See `Executing`."""
        if self._execution is not None:
            self._execution.expect_viewer()

    def detach(self) -> None:
        """Count a viewer that leaves; the last one's leaving may end the run."""
        self.viewers -= 1
        if self._execution is not None:
            self._execution.detach()

    def _receive_end(self) -> None:
        # An ended run may be kept for long, and others with it: what it needs no more is let go.
        self._execution = None
        if self._ended is not None:
            self._ended.set()
        self._on_end(self)
