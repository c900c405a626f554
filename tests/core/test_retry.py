"""Whether and when an attempt is followed by another."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.errors_upstream import (
    BadStatus,
    Cancelled,
    CircuitOpen,
    ConnectFailed,
    Disconnected,
    InternalError,
    ProtocolBroken,
    TimedOut,
    TooLarge,
    Undecodable,
    UpstreamError,
)
from streaming.core.retry import MAX_RETRY_AFTER, backoff_wait, is_retried, parse_retry_after

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


def asks_again(error: UpstreamError, *, has_head: bool = False, has_chunks: bool = False) -> bool:
    return is_retried(error, retry_statuses=(429, 503), has_head=has_head, has_chunks=has_chunks)


# ------------------------------------------------------------------------------ whether


@pytest.mark.parametrize(
    "error", [ConnectFailed(), Disconnected(), TimedOut("connection", 5), TimedOut("head", 10)]
)
def test_retried_before_the_head(error: UpstreamError) -> None:
    """What may be better next time is tried again."""
    assert asks_again(error)


def test_disconnected_after_the_head() -> None:
    """A connection that broke half-way through a body is tried again."""
    assert asks_again(Disconnected(), has_head=True)


def test_timeout_after_the_head() -> None:
    """A body that stalls is final: its attempt took long enough."""
    assert not asks_again(TimedOut("body", 10), has_head=True)


@pytest.mark.parametrize("status", [429, 503])
def test_retried_status(status: int) -> None:
    """The configured statuses are tried again, though there was a head."""
    assert asks_again(BadStatus(status), has_head=True)


@pytest.mark.parametrize("status", [302, 404, 500, 502])
def test_other_status(status: int) -> None:
    """No other status is."""
    assert not asks_again(BadStatus(status), has_head=True)


@pytest.mark.parametrize(
    "error",
    [
        *(ProtocolBroken(), TooLarge("body", 1), Undecodable("JSON")),
        *(Cancelled(), CircuitOpen(), InternalError()),
    ],
    ids=lambda error: error.code,
)
def test_final(error: UpstreamError) -> None:
    """What would be the same again, or was meant, is final."""
    assert not asks_again(error)


@pytest.mark.parametrize("error", [ConnectFailed(), Disconnected(), BadStatus(503)])
def test_never_after_a_chunk(error: UpstreamError) -> None:
    """Once a piece was passed on nothing is tried again: it would be passed on twice."""
    assert not asks_again(error, has_head=True, has_chunks=True)


# ------------------------------------------------------------------------------ backoff


@given(
    attempt=st.integers(1, 10**6),
    backoff=st.floats(0, 3600),
    max_backoff=st.floats(0, 3600),
    fraction=st.floats(0, 1),
)
def test_wait_is_bounded(attempt: int, backoff: float, max_backoff: float, fraction: float) -> None:
    """However many attempts there were, the wait is between nothing and the last ceiling."""
    wait = backoff_wait(attempt, backoff=backoff, max_backoff=max_backoff, random_fraction=fraction)
    assert 0 <= wait <= max_backoff


def test_ceiling_doubles_up_to_the_last() -> None:
    """The ceiling is `backoff` after the first attempt, doubles, and stays at `max_backoff`."""
    ceilings = [
        backoff_wait(attempt, backoff=0.5, max_backoff=3.0, random_fraction=1.0)
        for attempt in range(1, 6)
    ]
    assert ceilings == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_full_jitter() -> None:
    """The wait is spread over the whole of it, from none at all."""
    waits = [
        backoff_wait(3, backoff=0.5, max_backoff=3.0, random_fraction=fraction)
        for fraction in (0.0, 0.25, 0.5, 1.0)
    ]
    assert waits == [0.0, 0.5, 1.0, 2.0]


# -------------------------------------------------------------------------- Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("0000000000000000005", 5.0),
        ("31536001", MAX_RETRY_AFTER),
        ("9" * 5000, MAX_RETRY_AFTER),
    ],
    ids=lambda value: str(value)[:20],
)
def test_seconds(value: str, seconds: float) -> None:
    """Whole seconds are taken, up to a year."""
    assert parse_retry_after(value, now=NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "Fri, 20 Nov 2026 12:00:30 GMT",
        "Friday, 20-Nov-26 12:00:30 GMT",
        "Fri Nov 20 12:00:30 2026",
        "Fri, 20 Nov 2026 13:00:30 +0100",
        "20 Nov 2026 12:00:30 -0000",
    ],
)
def test_date(value: str) -> None:
    """The three forms of an HTTP date are read, and others that mean the same."""
    assert parse_retry_after(value, now=NOW) == 30.0


def test_date_by_any_clock() -> None:
    """The time of day may be told in another zone."""
    now = NOW.astimezone(timezone(timedelta(hours=9)))
    assert parse_retry_after("Fri, 20 Nov 2026 12:00:30 GMT", now=now) == 30.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("Fri, 20 Nov 2026 11:59:59 GMT", 0.0),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER),
    ],
)
def test_date_is_bounded(value: str, seconds: float) -> None:
    """A date that has passed asks for no wait; a far one for a year."""
    assert parse_retry_after(value, now=NOW) == seconds


@given(seconds=st.integers(0, 10**6))
def test_date_as_written_by_a_server(seconds: int) -> None:
    """What a server writes for a time to come is that time."""
    value = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert parse_retry_after(value, now=NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", " ", "soon", "-5", "+5", "1.5", "1e3", "0x10", "5 s", "5, 6", "²"),
        *("Fri, 32 Nov 2026 12:00:30 GMT", "Fri, 20 Foo 2026 12:00:30 GMT"),
        *("Fri, 20 Nov 2026 25:00:30 GMT", "20 Nov 2026", "2026-11-20T12:00:30Z"),
        "Fri, 20 Nov 99999999999999999999 12:00:30 GMT",
        "Fri, 20 Nov 2026 12:00:99999999999999999999 GMT",
        "Fri, 20 Nov 2026 12:00:30 +99999999999999999999",
        "Fri, 20 Nov 2026 12:00:30 +9999",
    ],
)
def test_says_nothing(value: str | None) -> None:
    """What is neither is passed over, and the usual wait stays."""
    assert parse_retry_after(value, now=NOW) is None


parts = st.sampled_from(
    [
        *"Fri, Nov Jan 20 2026 0001 12:00:30 25:61:61 GMT EST +0100 +9999 -0000 - , : é".split(),
        *("9" * 20, "9" * 5000),
    ]
)


@given(value=st.lists(parts, max_size=8).map(" ".join) | st.text())
def test_any_value_is_taken(value: str) -> None:
    """No value whatever makes it fail, or ask for more than a year."""
    seconds = parse_retry_after(value, now=NOW)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER
