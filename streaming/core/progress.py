"""How far a run has come, read from its log, so that another process can go on with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from streaming.core import codec
from streaming.core.body import MAX_WRITE_BYTES
from streaming.core.entry import Entry, LogReader

_NOTHING_YET = MappingProxyType({"ok": 0, "failed": 0, "cancelled": 0})


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a log says of its run.

    Args:
        upstreams: The names of all upstreams, as `start` has them.
        settled: Those that have an outcome.
        begun: Those that have said something that stands in the log: what they say must not be
            had twice.
        counts: How many outcomes are `ok`, `failed` and `cancelled`.
        elapsed: Seconds since the run began.
    """

    upstreams: tuple[str, ...] = ()
    settled: frozenset[str] = frozenset()
    begun: frozenset[str] = frozenset()
    counts: Mapping[str, int] = field(default_factory=lambda: _NOTHING_YET)
    elapsed: float = 0.0

    def at(self, elapsed: float) -> "Progress":
        """Return the same at a later time."""
        return replace(self, elapsed=max(elapsed, self.elapsed))


NEW = Progress()
"""That of a run which has only just begun."""


def read_progress(log: LogReader) -> Progress:
    """Read all that a log holds. Where chunks were trimmed, anyone's may have been among them."""
    names: tuple[str, ...] = ()
    settled: set[str] = set()
    begun: set[str] = set()
    counts = dict(_NOTHING_YET)
    elapsed = 0.0
    cursor = 0
    while entries := log.read(cursor, max_bytes=MAX_WRITE_BYTES).entries:
        cursor = entries[-1].n
        elapsed = float(_member(entries[-1], "at"))
        for entry in entries:
            match entry.name:
                case "start":
                    names = tuple(_member(entry, "upstreams"))
                case "chunk":
                    begun.add(_member(entry, "upstream"))
                case "result":
                    settled.add(_member(entry, "upstream"))
                    counts["ok"] += 1
                case "failure":
                    settled.add(_member(entry, "upstream"))
                    is_cancelled = _member(entry, "code") == "cancelled"
                    counts["cancelled" if is_cancelled else "failed"] += 1
    return Progress(
        upstreams=names,
        settled=frozenset(settled),
        begun=frozenset(names) if log.trimmed_through else frozenset(begun),
        counts=counts,
        elapsed=elapsed,
    )


def _member(entry: Entry, key: str) -> Any:
    return codec.decode(bytes(codec.decode_members(entry.payload)[key]))
