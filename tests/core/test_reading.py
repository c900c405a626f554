"""Every way of reading a body: at any cuts, up to its bounds and its faults."""

import base64
import tracemalloc
from collections import deque
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.errors_upstream import TooLarge, Undecodable, UpstreamError
from streaming.core.reading import Reader, make_reader

MAX_PIECE = 20
STREAMED = ["sse", "ndjson", "lines", "stream"]
WHOLE = ["json", "text", "bytes"]

# What `stream` gives depends on how it arrives; all else does not.
Told = tuple[list[Any], Any, str | None]


def make(read: str, *, content_type: str | None = None, max_bytes: int | None = None) -> Reader:
    return make_reader(
        read, content_type=content_type, max_bytes=max_bytes, max_piece_bytes=MAX_PIECE
    )


def tell(read: str, pieces: Iterable[bytes], **options: Any) -> Told:
    """Read a body; give its chunks, its value and the fault that ended it.

    Pieces of text are joined, as only their text does not depend on the cuts.
    """
    chunks: list[Any] = []
    value = fault = None
    try:
        reader = make(read, **options)
        for piece in pieces:
            chunks.extend(reader.feed(piece)) if reader.is_streamed else reader.feed(piece)
            if reader.is_complete:
                return chunks, reader.value, None
        chunks.extend(reader.finish())
        value = reader.value
    except UpstreamError as error:
        fault = str(error)
    return (["".join(chunks)] if read == "stream" else chunks), value, fault


def bytewise(body: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in body]


def one(data: Any, *, event: str = "message", id: str | None = None) -> dict[str, Any]:
    return {"event": event, "data": data, "id": id}


LATIN = "text/plain; charset=latin-1"
UTF16 = "text/plain; charset=utf-16"

BODIES: list[tuple[str, str | None, bytes, list[Any], Any]] = [
    ("json", None, b'{"b":[1,null],"a":2}', [], {"b": [1, None], "a": 2}),
    ("json", "application/json; charset=klingon", b"\xef\xbb\xbf 1 \r\n", [], 1),
    ("json", None, b"null", [], None),
    ("text", None, "é\r\n\u2028x\0".encode(), [], "é\r\n\u2028x\0"),
    ("text", LATIN, b"\xe9", [], "é"),
    ("text", UTF16, "é\U0001f600".encode("utf-16"), [], "é\U0001f600"),
    ("text", None, b"", [], ""),
    ("bytes", None, b"\0\xff\n", [], base64.b64encode(b"\0\xff\n").decode()),
    ("bytes", "text/plain; charset=klingon", b"", [], ""),
    ("sse", None, b"data: a\n\ndata: b\r\n\r\ndata: c\r\r", [one("a"), one("b"), one("c")], None),
    ("sse", None, b"\xef\xbb\xbfdata: a\ndata:\ndata: {}\n\n", [one("a\n\n{}")], None),
    (
        "sse",
        None,
        b"event: x\nid: 7\ndata: a\n\ndata\n\n",
        [one("a", event="x", id="7"), one("", id="7")],
        None,
    ),
    ("sse", LATIN, "data: é\n\n".encode(), [one("é")], None),
    ("sse", None, b": hi\n\nretry: 5\n\nevent: x\n\ndata: cut off\n", [], None),
    ("sse", None, b"data: a\n\ndata: [DONE]\n\ndata: b\n\n\xff", [one("a")], None),
    ("sse", None, b"data:  [DONE]\n\ndata: [DONE]x\n\n", [one(" [DONE]"), one("[DONE]x")], None),
    ("sse", None, b"", [], None),
    ("ndjson", None, b'{"a":1}\n\n[2]\r\n  \r\n"3"', [{"a": 1}, [2], "3"], None),
    ("ndjson", None, b"null\nnull\n", [None, None], None),
    ("ndjson", None, b"\n\n", [], None),
    ("lines", None, "a\n\nb\r\né\rc".encode(), ["a", "", "b", "é\rc"], None),
    ("lines", LATIN, b"\xe9\n\xff", ["é", "ÿ"], None),
    ("lines", None, b"", [], None),
    ("stream", None, "aé\U0001f600\n".encode(), ["aé\U0001f600\n"], None),
    ("stream", LATIN, b"\xe9\xff", ["éÿ"], None),
    ("stream", UTF16, "aé\U0001f600".encode("utf-16"), ["aé\U0001f600"], None),
    ("stream", "text/plain; charset=shift_jis", "日本".encode("shift_jis"), ["日本"], None),
    ("stream", None, b"", [""], None),
]

# What was given before, and the fault.
JSON, UTF8 = "the body is not valid JSON", "the body is not valid utf-8"
PIECE = f"the piece is longer than {MAX_PIECE} bytes"
FAULTS: list[tuple[str, bytes, list[Any], str]] = [
    ("json", b"{", [], JSON),
    ("json", b"", [], JSON),
    ("json", b"NaN", [], JSON),
    ("json", b'"\\ud800"', [], JSON),
    ("json", b'"\xff"', [], JSON),
    ("json", b"[" * 10_000, [], JSON),
    ("text", b"a\xff", [], UTF8),
    ("text", "é".encode()[:1], [], UTF8),
    (
        "sse",
        b"data: a\n\ndata: b\n\ndata: \xff\n\ndata: c\n\n",
        [one("a"), one("b")],
        "the body is not valid UTF-8",
    ),
    ("sse", b"data: a\n\n: " + b"x" * 100 + b"\n\ndata: c\n\n", [one("a")], PIECE),
    ("sse", b"data: a\n\n" + b"data: 0123456789\n" * 2 + b"\n", [one("a")], PIECE),
    ("ndjson", b"1\n2\n{\n4\n", [1, 2], JSON),
    ("ndjson", b"1\n2\n[NaN]\n4\n", [1, 2], JSON),
    ("ndjson", b"1\n2\n[1", [1, 2], JSON),
    ("ndjson", b"1\n2\n" + b"3" * 21 + b"\n4\n", [1, 2], PIECE),
    ("lines", b"a\nb\n\xff\nd\n", ["a", "b"], UTF8),
    ("lines", b"a\nb\n" + b"c" * 21 + b"\nd\n", ["a", "b"], PIECE),
    ("lines", b"a\nb\n" + b"c" * 21, ["a", "b"], PIECE),
    ("stream", "aé".encode() + b"\xffb", ["aé"], UTF8),
    ("stream", b"a" * 30 + b"\xff", ["a" * 30], UTF8),
    ("stream", b"ab" + "é".encode()[:1], ["ab"], UTF8),
]


def ids(cases: list[Any]) -> list[str]:
    return [f"{number}-{case[0]}" for number, case in enumerate(cases)]


each_body = pytest.mark.parametrize(
    ("read", "content_type", "body", "chunks", "value"), BODIES, ids=ids(BODIES)
)
each_fault = pytest.mark.parametrize(("read", "body", "chunks", "fault"), FAULTS, ids=ids(FAULTS))


@each_body
def test_whole(
    read: str, content_type: str | None, body: bytes, chunks: list[Any], value: Any
) -> None:
    """A body that arrives at once is read as the contract says."""
    assert tell(read, [body], content_type=content_type) == (chunks, value, None)


@each_body
def test_byte_by_byte(
    read: str, content_type: str | None, body: bytes, chunks: list[Any], value: Any
) -> None:
    """A body that arrives a byte at a time is read the same."""
    assert tell(read, bytewise(body), content_type=content_type) == (chunks, value, None)


@each_fault
def test_fault(read: str, body: bytes, chunks: list[Any], fault: str) -> None:
    """What stands before a fault is given, then the fault ends it."""
    assert tell(read, [body]) == (chunks, None, fault)


@each_fault
def test_fault_byte_by_byte(read: str, body: bytes, chunks: list[Any], fault: str) -> None:
    """The same is given, and the same fault raised, however it arrives."""
    assert tell(read, bytewise(body)) == (chunks, None, fault)


@pytest.mark.parametrize(
    ("read", "body", "chunks", "fault"),
    [case for case in FAULTS if case[0] in {"sse", "ndjson", "lines"} and case[1].endswith(b"\n")],
)
def test_fault_at_once(read: str, body: bytes, chunks: list[Any], fault: str) -> None:
    """A fault is raised with the input that holds it: the next bytes may never come."""
    before: list[Any] = []
    with pytest.raises(UpstreamError, match=fault):
        before.extend(make(read).feed(body))
    assert before == chunks


def test_one_by_one() -> None:
    """A chunk is had before the next line is even looked at."""
    chunks = make("ndjson").feed(b"1\n{\n")
    assert next(chunks) == 1
    with pytest.raises(Undecodable):
        next(chunks)


# ------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize("read", [*WHOLE, *STREAMED])
@pytest.mark.parametrize("cut", [1, 3, 10])
def test_body_at_its_bound(read: str, cut: int) -> None:
    """A body of as many bytes as the bound is read."""
    body = b"1" * 10
    pieces = [body[at : at + cut] for at in range(0, 10, cut)]
    assert tell(read, pieces, max_bytes=10)[2] is None


@pytest.mark.parametrize("read", [*WHOLE, *STREAMED])
@pytest.mark.parametrize("cut", [1, 3, 11])
def test_body_over_its_bound(read: str, cut: int) -> None:
    """One byte more is too large."""
    body = b"1" * 11
    pieces = [body[at : at + cut] for at in range(0, 11, cut)]
    assert tell(read, pieces, max_bytes=10)[2] == "the body is longer than 10 bytes"


@pytest.mark.parametrize(
    ("read", "body", "chunks"),
    [
        ("sse", b"data: a\n\ndata: b\n\n", [one("a")]),
        ("ndjson", b"1\n2\n3\n4\n5\n6\n", [1, 2, 3, 4, 5]),
        ("lines", b"aaaaaaa\nb\nc\n", ["aaaaaaa", "b"]),
        ("stream", b"0123456789abc", ["0123456789"]),
    ],
)
def test_stream_up_to_its_bound(read: str, body: bytes, chunks: list[Any]) -> None:
    """What is within the bound of a stream is given before it is too large, at any cuts."""
    expected = (chunks, None, "the body is longer than 10 bytes")
    assert tell(read, [body], max_bytes=10) == expected
    assert tell(read, bytewise(body), max_bytes=10) == expected


def test_done_within_the_bound() -> None:
    """A stream that says itself where it ends is not blamed for what follows."""
    body = b"data: [DONE]\n\n"
    assert tell("sse", [body + b"x" * 100], max_bytes=len(body)) == ([], None, None)


@pytest.mark.parametrize("read", STREAMED)
def test_stream_without_a_bound(read: str) -> None:
    """A stream may go on for ever, as long as its pieces are small."""
    _, _, fault = tell(read, [b"data: 1\n\n" if read == "sse" else b"1\n"] * 10_000)
    assert fault is None


@pytest.mark.parametrize(
    ("read", "at", "chunk"),
    [
        ("sse", b"data: " + b"x" * (MAX_PIECE - 6) + b"\n\n", one("x" * (MAX_PIECE - 6))),
        ("ndjson", b"1" * MAX_PIECE + b"\n", int("1" * MAX_PIECE)),
        ("lines", b"x" * MAX_PIECE + b"\r\n", "x" * MAX_PIECE),
    ],
)
def test_piece_at_its_bound(read: str, at: bytes, chunk: Any) -> None:
    """A line of as many bytes as the bound is given, one byte more is too large."""
    assert tell(read, [at]) == ([chunk], None, None)
    longer = at.replace(b"x", b"xx", 1).replace(b"1", b"11", 1)
    assert tell(read, [longer]) == ([], None, PIECE)


def test_pieces_of_text_are_cut() -> None:
    """More text at once than the bound of a piece comes in several, between characters."""
    pieces = list(make("stream").feed("é".encode() * 35))
    assert "".join(pieces) == "é" * 35
    assert [len(piece.encode()) for piece in pieces] == [MAX_PIECE] * 3 + [10]


def test_text_as_it_arrives() -> None:
    """Text is given with the input that completes a character, and no empty piece ever."""
    reader = make("stream")
    given = [list(reader.feed(piece)) for piece in (b"a", b"\xc3", b"\xa9b", b"")]
    assert given == [["a"], [], ["éb"], []]
    assert list(reader.finish()) == []


@pytest.mark.parametrize("read", [*WHOLE, *STREAMED])
def test_memory_is_bounded(read: str) -> None:
    """However much comes, no more is held than the bounds and the input."""
    reader, piece = make(read, max_bytes=1 << 20 if read in WHOLE else 16 << 20), b"x" * 65536
    tracemalloc.start()
    with pytest.raises(TooLarge):
        while True:
            deque(reader.feed(piece), maxlen=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


# ------------------------------------------------------------------------------ charset


@pytest.mark.parametrize("read", ["text", "lines", "stream"])
@pytest.mark.parametrize("charset", ["klingon", "hex", "utf-7", "punycode", "x" * 5000])
def test_unknown_charset(read: str, charset: str) -> None:
    """Text in a charset that nobody knows is the upstream's fault, and not guessed at."""
    with pytest.raises(Undecodable, match="its declared charset"):
        make(read, content_type=f"text/plain; charset={charset}")


@pytest.mark.parametrize("cut", [1, 2, 100])
def test_fault_in_another_mode(cut: int) -> None:
    """Where a charset has modes, the text before a fault is read in the mode that it was in."""
    body = b"ab\x1b$B\xff"
    pieces = [body[at : at + cut] for at in range(0, len(body), cut)]
    told = tell("stream", pieces, content_type="text/plain; charset=iso-2022-jp")
    assert told == (["ab"], None, "the body is not valid iso2022_jp")


def test_wrong_text_behind_good_lines() -> None:
    """It is told as any other fault is, though the parser raises another error."""
    told = tell("ndjson", [b'1\n2\n"\xff"\n3\n'])
    assert told == ([1, 2], None, "the body is not valid JSON")


def test_fault_names_no_word_of_the_upstream() -> None:
    """The sentence names the codec as Python does, not what the upstream wrote."""
    _, _, fault = tell("text", [b"\xff"], content_type="text/plain; charset=US_ascii")
    assert fault == "the body is not valid ascii"


@pytest.mark.parametrize("count", [63, 64, 65, 200])
def test_lines_before_a_fault(count: int) -> None:
    """All that come before it in the same input are passed on, however many there are."""
    body = b"".join(b"%d\n" % n for n in range(count)) + b"nul\n" + b"1\n"
    assert tell("ndjson", [body]) == (list(range(count)), None, "the body is not valid JSON")


@pytest.mark.parametrize("read", [*WHOLE, *STREAMED])
def test_kinds(read: str) -> None:
    """Which readings give chunks and which a value is known before anything was read."""
    reader = make(read)
    assert (reader.is_streamed, reader.value, reader.is_complete) == (read in STREAMED, None, False)


# ----------------------------------------------------------------------------- properties

snippets = st.sampled_from(
    [
        *(b"data: a\n\n", b"data:", b"id: 1\n", b"[DONE]", b"1\n", b"{}\n", b"[1e400]\n"),
        *(b"\n", b"\r", b"\r\n", b" ", b"x" * 15),
        *(b"\xff", b"\xc3", b"\xa9", b"\xef\xbb\xbf", "\U0001f600".encode()),
    ]
)


@given(
    read=st.sampled_from([*WHOLE, *STREAMED]),
    body=st.lists(snippets, max_size=10).map(b"".join) | st.binary(max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=6).map(sorted),
    max_bytes=st.none() | st.integers(0, 60),
    content_type=st.sampled_from([None, LATIN, UTF16, "text/plain; charset=gb18030"]),
)
def test_cuts_do_not_matter(
    read: str, body: bytes, cuts: list[int], max_bytes: int | None, content_type: str | None
) -> None:
    """Wherever the input is cut: the same chunks, the same value, the same fault."""
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    options = {"content_type": content_type, "max_bytes": max_bytes}
    assert tell(read, pieces, **options) == tell(read, bytewise(body), **options)
