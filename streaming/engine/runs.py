"""The runs that requests ask for: found, joined, started, and ended with the process.

Two implementations: `runs_memory`, of this process alone, and `runs_redis`, of all processes that
share a Redis. Who is joined and who may resume is the same in both.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from streaming.core import codec
from streaming.core.feed import Feed
from streaming.engine.run import Run

ShareKey = tuple[str, bytes, str | None]


class Runs(Protocol):
    """What the interface and the engine need of runs."""

    async def is_reachable(self) -> bool:
        """Say whether the log takes and gives events now."""
        ...

    async def find(self, id: str) -> Run | None:
        """Return a run that is live or kept.

        Raises:
            LogUnreachable: Whether there is one cannot be found out now.
            TooManyRuns, LogsFull: There is no room for it here.
        """
        ...

    async def find_live(self, feed: Feed, params: Mapping[str, Any], *, caller: str) -> Run | None:
        """Return the live run that such a request joins, if there is one.

        Raises:
            LogUnreachable, TooManyRuns, LogsFull: As for `find`.
        """
        ...

    async def start(
        self, feed: Feed, params: Mapping[str, Any], *, caller: str
    ) -> tuple[Run, bool]:
        """Start a run, or join one that such a request joins and was started meanwhile.

        Returns:
            The run, and whether it was joined.

        Raises:
            InvalidParameter: A value that a template of an upstream refuses.
            TooManyRuns: All of `max_runs` are live.
            LogsFull: Live runs hold all bytes of logs: there is not even room for a `start`.
            LogUnreachable: The log does not take it now.
        """
        ...

    def begin_drain(self) -> None:
        """Take nothing over from other processes any more."""
        ...

    async def wait_idle(self) -> None:
        """Wait until this process executes no run."""
        ...

    async def end_all(self) -> None:
        """End the execution of all runs: hand them over where there may be others, or end them."""
        ...

    async def aclose(self) -> None:
        """Let go of everything; no run is executed any more."""
        ...


def share_key(feed: Feed, params: Mapping[str, Any], caller: str) -> ShareKey | None:
    """Return what two requests must have in common to see the same run; None: they never do.

    As JSON, since 1, 1.0 and true are equal in Python, and so are 0.0 and -0.0.
    """
    if not feed.share:
        return None
    return feed.name, codec.encode(params), None if feed.share == "all" else caller
