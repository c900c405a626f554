"""Content codings: what is decoded, in which pieces, and what is refused."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.core.content_coding import MAX_OUTPUT_BYTES, ContentDecoder
from streaming.core.errors_upstream import Undecodable

TEXT = b"What is sent often is sent often. " * 50
BOMB_BYTES = 64 * 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    """Compress without the wrapper of RFC 1950."""
    return zlib.compress(data, wbits=-zlib.MAX_WBITS)


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
}
CODED = pytest.mark.parametrize(("coding", "encode"), ENCODERS.values(), ids=ENCODERS.keys())


def decode(coding: str | None, *pieces: bytes) -> bytes:
    """Decode a whole body."""
    decoder = ContentDecoder(coding)
    decoded = b"".join(out for piece in pieces for out in decoder.decode(piece))
    decoder.flush()
    return decoded


@pytest.mark.parametrize("coding", [None, "", "identity", " Identity "])
def test_a_body_without_coding_passes_unchanged(coding: str | None) -> None:
    """No coding and `identity` leave the bytes as they are."""
    assert decode(coding, b"\x1f\x8b", b"", b"\0\xff") == b"\x1f\x8b\0\xff"


@CODED
def test_a_coded_body_is_decoded(coding: str, encode: Callable[[bytes], bytes]) -> None:
    """Each coding that Accept-Encoding names, and raw deflate, gives the body back."""
    assert decode(coding.upper(), encode(TEXT)) == TEXT


@CODED
def test_bytes_may_come_one_by_one(coding: str, encode: Callable[[bytes], bytes]) -> None:
    """Where the wire cuts the body makes no difference."""
    assert decode(coding, *(bytes([byte]) for byte in encode(TEXT))) == TEXT


@given(body=st.binary(max_size=3000), cut=st.integers(0, 100), level=st.integers(0, 9))
def test_any_body_cut_anywhere_comes_back(body: bytes, cut: int, level: int) -> None:
    """Any bytes, at any level of compression, cut at any place."""
    for coding, encode in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        encoded = encode(body, level)
        assert decode(coding, encoded[:cut], encoded[cut:]) == body


def test_gzip_members_in_a_row_are_one_body() -> None:
    """RFC 1952 lets members follow each other, cut anywhere; an empty one gives nothing."""
    whole = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two")
    for cut in range(len(whole)):
        assert decode("gzip", whole[:cut], whole[cut:]) == b"one two"


def test_what_was_flushed_is_given_at_once() -> None:
    """An event that the upstream has flushed does not wait for the next one."""
    compress = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    first = compress.compress(b"data: 1\n\n") + compress.flush(zlib.Z_SYNC_FLUSH)
    assert b"".join(ContentDecoder("gzip").decode(first)) == b"data: 1\n\n"


def test_nothing_is_left_behind_at_a_full_piece() -> None:
    """Wherever the wire cuts the body, what zlib could give by then has been given."""
    encoded = zlib.compress(bytes(3 * MAX_OUTPUT_BYTES))
    for cut in range(len(encoded)):
        given = b"".join(ContentDecoder("deflate").decode(encoded[:cut]))
        assert given == zlib.decompressobj().decompress(encoded[:cut])


@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
def test_no_piece_is_longer_than_the_bound(coding: str | None) -> None:
    """Whatever comes in, pieces of at most 64 KiB go out."""
    body = bytes(5 * MAX_OUTPUT_BYTES + 1)
    encoded = {None: body, "gzip": gzip.compress(body), "deflate": zlib.compress(body)}[coding]
    pieces = list(ContentDecoder(coding).decode(encoded))
    assert b"".join(pieces) == body
    assert max(map(len, pieces)) <= MAX_OUTPUT_BYTES


def test_a_bomb_is_never_whole_in_memory() -> None:
    """64 MiB of zeros in 64 KiB are handed on piece by piece."""
    bomb = gzip.compress(bytes(BOMB_BYTES))
    tracemalloc.start()
    try:
        total = sum(len(piece) for piece in ContentDecoder("gzip").decode(bomb))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == BOMB_BYTES
    assert peak < 1024 * 1024


def test_a_bomb_is_inflated_no_further_than_it_is_read() -> None:
    """Whoever stops at a bound has paid for little more than that bound."""
    bomb = gzip.compress(bytes(BOMB_BYTES))
    decoder = ContentDecoder("gzip")
    assert len(next(decoder.decode(bomb))) == MAX_OUTPUT_BYTES
    with pytest.raises(Undecodable):
        decoder.flush()


@CODED
def test_an_empty_body_is_accepted(coding: str, encode: Callable[[bytes], bytes]) -> None:
    """Servers name a coding over no bytes at all, as in answer to HEAD."""
    assert decode(coding) == b""


@CODED
def test_a_body_cut_short_is_refused(coding: str, encode: Callable[[bytes], bytes]) -> None:
    """Every proper beginning, the missing checksum included, is Undecodable at the end."""
    whole = encode(TEXT)
    for length in range(1, len(whole)):
        with pytest.raises(Undecodable):
            decode(coding, whole[:length])


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("body", [b"<html>Not compressed</html>", b"\xff" * 40, b"\0" * 40])
def test_bytes_that_are_not_coded_are_refused(coding: str, body: bytes) -> None:
    """A body that only claims its coding is Undecodable, and the error names the coding."""
    with pytest.raises(Undecodable) as caught:
        decode(coding, body)
    assert caught.value.expected == coding


def test_a_wrong_checksum_is_refused() -> None:
    """The last eight bytes of a gzip member hold its checksum and length."""
    whole = bytearray(gzip.compress(TEXT))
    whole[-8] ^= 1
    with pytest.raises(Undecodable):
        decode("gzip", bytes(whole))


@CODED
def test_zeros_after_the_end_are_passed_over(coding: str, encode: Callable[[bytes], bytes]) -> None:
    """Padding after the end changes nothing."""
    assert decode(coding, encode(TEXT) + b"\0\0", b"\0") == TEXT


@CODED
@pytest.mark.parametrize("rest", [b"x", b"garbage", b"\x1f"])
def test_garbage_after_the_end_is_refused(
    coding: str, encode: Callable[[bytes], bytes], rest: bytes
) -> None:
    """Bytes after the end belong to no body, whether they come with it or later."""
    for pieces in ([encode(TEXT) + rest], [encode(TEXT), rest]):
        with pytest.raises(Undecodable):
            decode(coding, *pieces)


def test_a_second_deflate_stream_is_refused() -> None:
    """Only gzip has members."""
    with pytest.raises(Undecodable):
        decode("deflate", zlib.compress(b"one") + zlib.compress(b"two"))


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "gzip;q=1", "compress", "<b>"])
def test_an_unknown_coding_is_refused_without_its_name(coding: str) -> None:
    """What the upstream calls it stands in no message."""
    with pytest.raises(Undecodable) as caught:
        ContentDecoder(coding)
    assert str(caught.value) == "the body is not valid gzip or deflate"
