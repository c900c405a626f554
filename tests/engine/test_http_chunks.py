"""Chunked bodies: their bound, and what was in them before they broke. No sockets."""

import pytest

from streaming.core.errors_upstream import ProtocolBroken
from streaming.engine.http_chunks import MAX_FRAME_BYTES, ChunkReader


@pytest.mark.parametrize("bad", [b"zz\r\n", b"-1\r\n", b"\r\n", b"1\nx", b"1\r\nxx"])
def test_what_came_before_a_malformed_chunk_is_kept(bad: bytes) -> None:
    """Also where both come at once."""
    pieces: list[bytes] = []
    with pytest.raises(ProtocolBroken):
        ChunkReader().feed(b"5\r\nabcde\r\n" + bad, pieces)
    assert b"".join(pieces).startswith(b"abcde")


def test_what_is_behind_the_last_chunk_is_only_noted() -> None:
    """Be it malformed; it is nobody's."""
    answer = b"HTTP/1.1 200 OK\r\n"
    length = answer + b"Content-Length: 5\r\n\r\nabcde"
    chunked = answer + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
    for behind in (b"\n", b"zz", b"0\r\n\r\n", length, chunked, answer + b"\r\nabcde"):
        reader, pieces = ChunkReader(), list[bytes]()
        reader.feed(b"2\r\nok\r\n0\r\n\r\n" + behind, pieces)
        assert (reader.is_whole, reader.has_more, pieces) == (True, True, [b"ok"])


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [(b"0\r\n", b"X-A: b\r\n"), (b"5;", b"a"), (b"", b"0")],
    ids=["trailers", "an extension", "zeros of a size"],
)
def test_what_frames_a_body_has_a_bound(beginning: bytes, piece: bytes) -> None:
    """While the chunks themselves have none."""
    reader, pieces = ChunkReader(), list[bytes]()
    reader.feed(b"5\r\nabcde\r\n" * 20_000 + beginning, pieces)
    with pytest.raises(ProtocolBroken):
        for _ in range(MAX_FRAME_BYTES // 1000 + 1):
            reader.feed(piece * (1000 // len(piece) + 1), pieces)
    assert sum(map(len, pieces)) == 100_000
