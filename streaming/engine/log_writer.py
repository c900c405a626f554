"""A run's log, as what executes the run writes it."""

from collections.abc import Sequence
from typing import Protocol

from streaming.core.entry import Data
from streaming.core.errors_upstream import Disconnected
from streaming.core.progress import Progress


class LogWriter(Protocol):
    """A run's log, as its execution writes it."""

    @property
    def max_bytes(self) -> int:
        """Bytes that it holds at most."""
        ...

    def append(self, name: str, data: Data, *, force: bool = False) -> int:
        """Append an event, and return its number.

        Args:
            name: The event's name.
            data: Its data, as `codec.encode_again` takes it.
            force: Append it even to a full log: for the last words of a run, which are few.

        Raises:
            LogFull: It does not fit, and nothing more can be trimmed.
            ValueError: A lone surrogate is in the data.
        """
        ...

    def extend(self, name: str, payloads: Sequence[bytes]) -> None:
        """Append events of one name.

        Args:
            name: Their name.
            payloads: The data of each, as JSON on one line.

        Raises:
            LogFull: One does not fit, and nothing more can be trimmed; those before it are in.
        """
        ...

    async def give_way(self) -> None:
        """Let others have their turn, and the log take what it was given, between many events."""
        ...


def write_lost(log: LogWriter, progress: Progress) -> None:
    """Write the last words of a run that nobody can go on with."""
    error = Disconnected()
    names = [name for name in progress.upstreams if name not in progress.settled]
    for done, name in enumerate(names, len(progress.settled) + 1):
        failure: Data = {
            "at": progress.elapsed,
            "upstream": name,
            "code": error.code,
            "message": str(error),
            "status": None,
            "elapsed": None,
            "first_byte": None,
            "attempts": 0,
            "done": done,
            "of": len(progress.upstreams),
        }
        log.append("failure", failure, force=True)
    counts = {**progress.counts, "failed": progress.counts["failed"] + len(names)}
    end: Data = {"at": progress.elapsed, **counts, "elapsed": progress.elapsed, "reason": "lost"}
    log.append("done", end, force=True)
