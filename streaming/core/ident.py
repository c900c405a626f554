"""Identifiers: of a run, and of a place in its log (CONTRACT "Events").

A run's id is unguessable and names one generation of one log, so that an event's id, `<run>-<n>`,
is a whole cursor: it says which log, and how far.
"""

import re
from dataclasses import dataclass

from streaming.core.errors_request import IdTooLong
from streaming.core.event import MAX_ID_BYTES

RUN_ID_BYTES = 16
"""Random bytes in a run's id: 128 bits, which nobody guesses."""

_RUN = re.compile(r"[0-9a-f]{32}", re.ASCII)
_CURSOR = re.compile(r"([0-9a-f]{32})-([1-9][0-9]{0,17})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a log: all up to event `n` of `run` has been read."""

    run: str
    n: int


def make_run_id(random_bytes: bytes) -> str:
    """Write `RUN_ID_BYTES` random bytes as a run's id."""
    return random_bytes.hex()


def is_run_id(text: str) -> bool:
    """Say whether this could be a run's id."""
    return _RUN.fullmatch(text) is not None


def parse_cursor(text: str) -> Cursor | None:
    """Read the id that a client sends back; None where it cannot be one of ours.

    Raises:
        IdTooLong: Over `MAX_ID_BYTES`.
    """
    if len(text) > MAX_ID_BYTES or len(text.encode("utf-8", "replace")) > MAX_ID_BYTES:
        raise IdTooLong(MAX_ID_BYTES)
    match = _CURSOR.fullmatch(text)
    return Cursor(match[1], int(match[2])) if match else None
