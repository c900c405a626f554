"""The ids of runs and events, as they are written and as they come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.errors_request import IdTooLong
from streaming.core.event import MAX_ID_BYTES
from streaming.core.ident import RUN_ID_BYTES, Cursor, make_run_id, parse_cursor

RUN = "0123456789abcdef" * 2


@given(run=st.binary(min_size=RUN_ID_BYTES, max_size=RUN_ID_BYTES), n=st.integers(1, 10**18 - 1))
def test_there_and_back(run: bytes, n: int) -> None:
    """Every id that a run writes is read back as that place."""
    assert parse_cursor(f"{make_run_id(run)}-{n}") == Cursor(run.hex(), n)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "done",
        RUN,
        f"{RUN}-",
        f"{RUN}-0",
        f"{RUN}-01",
        f"{RUN}--1",
        f"{RUN}-+1",
        f"{RUN}-1.0",
        f"{RUN}-1 ",
        f" {RUN}-1",
        f"{RUN}-1\n",
        f"{RUN}-٣",
        f"{RUN}-1, {RUN}-2",
        f"{RUN}-" + "9" * 19,
        f"{RUN[1:]}-1",
        f"{RUN}0-1",
        f"{RUN.upper()}-1",
        f"{RUN[:-1]}g-1",
        "\ud800",
        "é" * 100,
    ],
)
def test_id_of_no_place(text: str) -> None:
    """What no run can have written names no place, and raises nothing."""
    assert parse_cursor(text) is None


@pytest.mark.parametrize("text", ["x" * MAX_ID_BYTES, "é" * (MAX_ID_BYTES // 2)])
def test_at_the_bound(text: str) -> None:
    """An id of as many bytes as the bound is merely unknown."""
    assert parse_cursor(text) is None


@pytest.mark.parametrize(
    "text", ["x" * (MAX_ID_BYTES + 1), "é" * (MAX_ID_BYTES // 2 + 1), "x" * 10**6]
)
def test_over_the_bound(text: str) -> None:
    """The bound counts bytes, not characters."""
    with pytest.raises(IdTooLong):
        parse_cursor(text)


@given(text=st.text(max_size=MAX_ID_BYTES // 4))
def test_never_fails_within_the_bound(text: str) -> None:
    """Whatever a client sends is a place or none."""
    cursor = parse_cursor(text)
    assert cursor is None or f"{cursor.run}-{cursor.n}" == text
