"""Whether an attempt is followed by another, and when (CONTRACT "Upstream calls", Attempts).

Full jitter, as the AWS Architecture Blog describes it ("Exponential Backoff And Jitter"): a random
part of a ceiling that doubles with each attempt, so that callers which failed together do not come
back together. `Retry-After` (RFC 9110 section 10.2.3) replaces it.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from streaming.core.errors_upstream import (
    BadStatus,
    ConnectFailed,
    Disconnected,
    TimedOut,
    UpstreamError,
)

MAX_RETRY_AFTER = 86400.0 * 365
"""Seconds; a longer `Retry-After` counts as this, which no run waits for."""


def is_retried(
    error: UpstreamError, *, retry_statuses: Collection[int], has_head: bool, has_chunks: bool
) -> bool:
    """Say whether the fault is of a kind that another attempt may mend.

    Args:
        error: Why the attempt failed.
        retry_statuses: The statuses that are worth another attempt.
        has_head: Whether the attempt had its response's head: a timeout after that is final.
        has_chunks: Whether a piece was passed on already: nothing is ever passed on twice.
    """
    if has_chunks:
        return False
    if isinstance(error, BadStatus):
        return error.status in retry_statuses
    if isinstance(error, TimedOut):
        return not has_head
    return isinstance(error, ConnectFailed | Disconnected)


def backoff_wait(
    attempt: int, *, backoff: float, max_backoff: float, random_fraction: float
) -> float:
    """Return the seconds to wait after the given attempt, counted from 1.

    Args:
        attempt: The attempt that failed.
        backoff: The first ceiling, in seconds; it doubles with each attempt.
        max_backoff: The last ceiling, in seconds.
        random_fraction: From 0 to 1, evenly distributed.
    """
    # Beyond 2**60 the ceiling is the maximum, whatever the base; a float would overflow later.
    ceiling = min(max_backoff, backoff * 2.0 ** min(attempt - 1, 60))
    return ceiling * random_fraction


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` field asks for; None where it says nothing.

    Args:
        value: The field's value: seconds, or an HTTP date.
        now: The time of day, with a time zone.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), MAX_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max((at - now).total_seconds(), 0.0), MAX_RETRY_AFTER)
