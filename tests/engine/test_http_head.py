"""Heads of responses: where they end, what they may not be, and how long. No sockets."""

from collections.abc import Iterable

import pytest

from streaming.core.errors_upstream import ProtocolBroken
from streaming.engine.http_head import MAX_HEAD_BYTES, MAX_HEAD_LINE_BYTES, HeadReader
from tests.scripted_upstream import OK

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\nContent-Length: 9\r\n\r\n"
HEAD = OK + b"X-A: b\r\n\r\n"


def fed(pieces: Iterable[bytes]) -> tuple[tuple[bytes, bytes] | None, HeadReader]:
    """Feed them to a new reader; give what it found last, and the reader."""
    reader = HeadReader()
    found = None
    for piece in pieces:
        assert found is None
        found = reader.feed(piece)
    return found, reader


@pytest.mark.parametrize("before", [b"", HINTS, b"\r\n", b"\n\r\n" + HINTS * 3])
def test_a_head_ends_where_it_ends(before: bytes) -> None:
    """Wherever it is cut; what stands behind is given back untouched."""
    answer = before + HEAD
    for cut in range(len(answer)):
        found, reader = fed([answer[:cut], answer[cut:] + b"\r\n\r\nrest"])
        assert found == (HEAD, b"\r\n\r\nrest")
        assert reader.status == 200


NOT_HTTP = {
    "a switch": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "a plain 101": b"HTTP/1.1 101 Switching\r\n\r\n",
    "status 0": b"HTTP/1.1 000 No\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\n\r\n",
    "RTSP": b"RTSP/1.0 200 OK\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "a folded field": OK + b"X-A: b\r\n c\r\n\r\n",
    "a space before the colon": OK + b"X-A : b\r\n\r\n",
}


@pytest.mark.parametrize("head", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_what_is_no_head_of_ours_is_refused(head: bytes) -> None:
    """Whole or byte by byte."""
    for pieces in ([head], [head[n : n + 1] for n in range(len(head))]):
        with pytest.raises(ProtocolBroken):
            fed(pieces)


def test_another_protocol_is_refused_before_it_ends() -> None:
    """Nobody waits for a blank line that never comes."""
    with pytest.raises(ProtocolBroken):
        fed([b"SSH-2.0-OpenSSH_9.6\r\n"])


def longest(*, over: int) -> bytes:
    return OK + b"X-A: " + b"x" * (MAX_HEAD_LINE_BYTES - len(b"X-A: ") + over) + b"\r\n\r\n"


@pytest.mark.parametrize("cut", [MAX_HEAD_BYTES, 1000, 1])
def test_a_line_of_a_head_has_a_bound(cut: int) -> None:
    """To the byte, however it comes; also before it has ended."""
    for over, is_refused in ((0, False), (1, True)):
        answer = longest(over=over)
        pieces = [answer[n : n + cut] for n in range(0, len(answer), cut)]
        if is_refused:
            with pytest.raises(ProtocolBroken):
                fed(pieces)
        else:
            assert fed(pieces)[1].status == 200
    with pytest.raises(ProtocolBroken):
        fed([longest(over=3)[:-4]])


@pytest.mark.parametrize(
    "endless",
    [HINTS, b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["interim heads", "blank lines", "calls to continue"],
)
def test_what_comes_before_a_head_has_a_bound(endless: bytes) -> None:
    """It is counted with the head's own bytes."""
    reader = HeadReader()
    within = (MAX_HEAD_BYTES - 100) // len(endless)
    for _ in range(within):
        reader.feed(endless)
    with pytest.raises(ProtocolBroken):
        reader.feed(endless * (200 // len(endless) + 2) + OK)


def test_a_head_has_a_bound() -> None:
    """Many fields are as bad as a long one."""
    reader = HeadReader()
    reader.feed(OK)
    with pytest.raises(ProtocolBroken):
        for _ in range(MAX_HEAD_BYTES // 1000 + 1):
            reader.feed(b"X-A: " + b"x" * 1000 + b"\r\n")
