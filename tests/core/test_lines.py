"""The splitter of lines: cuts, ends, the bound, and its cost."""

import itertools
import re
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.core.errors_upstream import TooLarge
from streaming.core.lines import LineSplitter

MAX = 5

streams = st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"\x85", b"abcde"])).map(b"".join)


def read(splitter: LineSplitter, pieces: list[bytes]) -> tuple[list[bytes], bool]:
    """Answer the lines, and whether one was refused."""
    lines: list[bytes] = []
    try:
        for piece in pieces:
            lines += splitter.decode(piece)
        lines += splitter.flush()
    except TooLarge:
        return lines, True
    return lines, False


def expected(data: bytes, *, cr_ends: bool) -> tuple[list[bytes], bool]:
    *lines, last = re.split(b"\r\n|\r|\n" if cr_ends else b"\r?\n", data)
    lines += [last] if last else []
    over = [len(line) > MAX for line in lines]
    first = over.index(True) if any(over) else len(lines)
    return lines[:first], any(over)


@given(data=streams, at=st.lists(st.integers(0, 60)), cr_ends=st.booleans())
@settings(deadline=None, max_examples=500)
def test_reads_like_a_split_of_the_whole(data: bytes, at: list[int], cr_ends: bool) -> None:
    """Whatever the cuts, the lines up to the first that is too long are those of the whole."""
    edges = [0, *sorted(at), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    for cuts in ([data], pieces, [bytes([byte]) for byte in data]):
        splitter = LineSplitter(max_line_bytes=MAX, cr_ends=cr_ends)
        assert read(splitter, cuts) == expected(data, cr_ends=cr_ends)


def test_line_is_handed_over_at_its_end() -> None:
    """A line is there as soon as its LF is, and not before."""
    splitter = LineSplitter(max_line_bytes=MAX)
    assert splitter.decode(b"ab\r") == []
    assert splitter.decode(b"\n") == [b"ab"]


def test_cr_alone_is_content() -> None:
    """Without `cr_ends` a CR that no LF follows belongs to its line, at the end of all too."""
    splitter = LineSplitter(max_line_bytes=MAX)
    assert splitter.decode(b"a\rb\r\n\rc\r") == [b"a\rb"]
    assert splitter.flush() == [b"\rc\r"]


def test_empty_lines_are_lines() -> None:
    """An empty line is handed over; nothing at all after the last end is none."""
    splitter = LineSplitter(max_line_bytes=MAX)
    assert splitter.decode(b"\n\r\na\n") == [b"", b"", b"a"]
    assert splitter.flush() == []


def test_window_of_a_large_input_is_no_cut() -> None:
    """An input of many windows is split like a small one, an end on the border of two included."""
    data = b"x" * 65535 + b"\r\n" + b"y" * 70000 + b"\n"
    splitter = LineSplitter(max_line_bytes=100_000, cr_ends=True)
    assert splitter.decode(data) == [b"x" * 65535, b"y" * 70000]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_bound_is_met_without_the_end(end: bytes) -> None:
    """A line as long as the bound passes whatever its end is, and one byte more does not."""
    assert read(LineSplitter(max_line_bytes=MAX), [b"abcde", end]) == ([b"abcde"], False)
    assert read(LineSplitter(max_line_bytes=MAX), [b"abcdef", end]) == ([], True)


def test_bound_counts_a_cr_that_ends_nothing() -> None:
    """A CR that could have been half of a line's end is a byte of the line once all is over."""
    assert read(LineSplitter(max_line_bytes=MAX), [b"abcde\r"]) == ([], True)


def test_refuses_before_the_end_of_the_line() -> None:
    """A line over the bound is refused by the input that takes it there."""
    splitter = LineSplitter(max_line_bytes=MAX)
    splitter.decode(b"abcde")
    with pytest.raises(TooLarge) as caught:
        splitter.decode(b"f")
    assert (caught.value.what, caught.value.max_bytes) == ("piece", MAX)


def test_lines_before_a_fault_come_first() -> None:
    """Lines before one that is too long are handed over, and then every call raises."""
    splitter = LineSplitter(max_line_bytes=MAX)
    assert splitter.decode(b"a\nabcdef\nb\n") == [b"a"]
    for again in (splitter.flush, lambda: splitter.decode(b"c\n"), lambda: splitter.decode(b"")):
        with pytest.raises(TooLarge):
            again()


def test_holds_no_more_than_the_bound() -> None:
    """An endless line is refused at the bound with as much memory."""
    splitter, piece = LineSplitter(max_line_bytes=1 << 20), b"x" * 65536
    tracemalloc.start()
    with pytest.raises(TooLarge):
        for _ in range(1024):
            splitter.decode(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20


def test_linear_time_a_byte_at_a_time() -> None:
    """Eight times the bytes of one line cost about eight times the time, not sixty-four."""

    def cost(size: int) -> float:
        splitter = LineSplitter(max_line_bytes=size)
        started = time.process_time()
        for _ in range(size):
            splitter.decode(b"x")
        assert splitter.flush() == [b"x" * size]
        return time.process_time() - started

    small = min(cost(100_000) for _ in range(3))
    assert cost(800_000) < 24 * small
