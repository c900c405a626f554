"""Responses byte by byte: framing, fields, pieces, and what stands behind them. No sockets."""

import gc
import itertools
from collections.abc import Iterable

import pytest

from streaming.core.errors_upstream import ProtocolBroken
from streaming.engine.http_chunks import ChunkReader
from streaming.engine.http_head import HeadReader
from streaming.engine.http_incoming import Incoming
from streaming.engine.transport import MAX_READ_BYTES
from tests.scripted_upstream import CHUNKED, OK

LENGTH_5 = OK + b"Content-Length: 5\r\n\r\n"
OLD = b"HTTP/1.0 200 OK\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\nContent-Length: 9\r\n\r\n"


def fed(pieces: Iterable[bytes], *, method: str = "GET") -> Incoming:
    incoming = Incoming(method)
    for piece in pieces:
        incoming.feed(piece)
    return incoming


def held_readers() -> int:
    """How many are there, be they nobody's: other threads of this process leave other garbage."""
    return sum(isinstance(each, (Incoming, HeadReader, ChunkReader)) for each in gc.get_objects())


def each_byte(data: bytes) -> list[bytes]:
    return [data[n : n + 1] for n in range(len(data))]


def body_of(incoming: Incoming) -> bytes:
    return b"".join(iter(incoming.take, b""))


WHOLE = {
    "length": LENGTH_5 + b"abcde",
    "chunked": CHUNKED + b"2\r\nab\r\n3;x=y\r\ncde\r\n0\r\n\r\n",
    "trailers": CHUNKED + b"5\r\nabcde\r\n0\r\nX-A: b\r\nX-B: c\r\n\r\n",
    "100 and 103 before": b"HTTP/1.1 100 Continue\r\n\r\n" + HINTS + LENGTH_5 + b"abcde",
    "blank lines before": b"\r\n\r\n" + LENGTH_5 + b"abcde",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nabcde",
    "kept in HTTP/1.0": OLD + b"Connection: keep-alive\r\nContent-Length: 5\r\n\r\nabcde",
}


@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE.keys())
def test_a_response_is_the_same_wherever_it_is_cut(answer: bytes) -> None:
    """At once, in two at every byte, and byte by byte; it is whole at its last byte, and clean."""
    cuts = [[answer[:n], answer[n:]] for n in range(1, len(answer))]
    for pieces in ([answer], each_byte(answer), *cuts):
        incoming = fed(pieces)
        assert (incoming.status, incoming.is_whole, incoming.has_more) == (200, True, False)
        assert incoming.keeps_alive
        assert body_of(incoming) == b"abcde"


@pytest.mark.parametrize(
    "behind", [b"\n", b"\r\n", b"\r\n\r\n", b"0", b"H", LENGTH_5 + b"ABCDE", b"\0" * 99]
)
@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE.keys())
def test_what_stands_behind_is_seen(answer: bytes, behind: bytes) -> None:
    """With the last byte or after it; it changes nothing of the response."""
    for pieces in ([answer + behind], [answer[:-1], answer[-1:] + behind], [answer, behind]):
        incoming = fed(pieces)
        assert (incoming.is_whole, incoming.has_more) == (True, True)
        assert body_of(incoming) == b"abcde"


BODILESS = [
    ("HEAD", LENGTH_5),
    ("HEAD", CHUNKED),
    ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("GET", OK + b"Content-Length: 0\r\n\r\n"),
    ("CONNECT", OK + b"\r\n"),
]


@pytest.mark.parametrize(("method", "head"), BODILESS)
def test_a_response_without_a_body_ends_with_its_head(method: str, head: bytes) -> None:
    """Whatever its fields say of a body, and what follows is not one."""
    for pieces in ([head], each_byte(head)):
        incoming = fed(pieces, method=method)
        assert (incoming.is_whole, incoming.has_more, incoming.unread) == (True, False, 0)
    incoming = fed([head + b"abcde"], method=method)
    assert (incoming.is_whole, incoming.has_more, incoming.unread) == (True, True, 0)


@pytest.mark.parametrize(
    ("head", "keeps_alive"),
    [
        (LENGTH_5, True),
        (CHUNKED, True),
        (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\n", False),
        (OK + b"\r\n", False),
        (OLD + b"Content-Length: 5\r\n\r\n", False),
        (OLD + b"Connection: keep-alive\r\nContent-Length: 5\r\n\r\n", True),
        (OLD + b"Connection: keep-alive, Close\r\nContent-Length: 5\r\n\r\n", False),
        (OLD + b"Connection: close\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n", False),
        (OLD + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n", False),
    ],
)
def test_it_says_whether_another_may_follow(head: bytes, keeps_alive: bool) -> None:
    """RFC 9112 sections 6.1 and 9.3."""
    assert fed([head]).keeps_alive is keeps_alive


def test_a_body_without_length_ends_with_the_connection() -> None:
    """And no other does."""
    incoming = fed([OK + b"\r\nabc", b"de"])
    assert incoming.finish()
    assert body_of(incoming) == b"abcde"
    for answer in (b"", b"HTT", LENGTH_5[:-1], LENGTH_5 + b"abcd", CHUNKED, CHUNKED + b"0\r\n"):
        assert not fed([answer] if answer else []).finish()


NOT_HTTP = {
    "length and coding": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "coding and length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "gzip": OK + b"Transfer-Encoding: gzip\r\n\r\n",
    "gzip, then chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked, then gzip": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    "two codings": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a length of many digits": OK + b"Content-Length: " + b"0" * 5000 + b"5\r\n\r\n",
    "a length twice": OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
}


@pytest.mark.parametrize("head", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_what_can_be_read_in_two_ways_is_refused(head: bytes) -> None:
    """Wherever it is cut."""
    for pieces in ([head], each_byte(head)):
        with pytest.raises(ProtocolBroken):
            fed(pieces)


def test_a_malformed_chunk_leaves_what_came_before_it() -> None:
    """Also where both come at once."""
    incoming = Incoming("GET")
    with pytest.raises(ProtocolBroken):
        incoming.feed(CHUNKED + b"5\r\nabcde\r\nzz\r\n")
    assert body_of(incoming) == b"abcde"


# ------------------------------------------------------------- fields, and pieces


def test_fields_are_found_by_their_names() -> None:
    """The first of each, in any case, without the spaces around; not in another's value."""
    head = b"X-Long: X-A: no\r\nX-A:\t yes \r\nx-a: later\r\nX-Empty:\r\nX-Raw: caf\xe9 \xc3\xa9"
    incoming = fed([OK + head + b"\r\nContent-Length: 0\r\n\r\n"])
    assert [incoming.header(name) for name in ("x-a", "X-LONG", "X-Empty", "X", "A")] == [
        *("yes", "X-A: no", "", None, None),
    ]
    assert incoming.header("X-Raw") == "caf\ufffd é"


def test_pieces_are_joined_and_cut_to_their_bound() -> None:
    """Small ones become one, long ones several; none is lost and none over the bound."""
    sizes = [1, 70_000, 3, 65_536, 200_000, 5]
    sent = b"".join(bytes([n]) * size for n, size in enumerate(sizes))
    incoming = fed([OK + b"\r\n"])
    cut = itertools.accumulate(sizes, initial=0)
    for begin, end in itertools.pairwise(cut):
        incoming.feed(sent[begin:end])
    taken = list(iter(incoming.take, b""))
    assert b"".join(taken) == sent
    assert {len(piece) for piece in taken[:-1]} == {MAX_READ_BYTES}
    assert all(type(piece) is bytes for piece in taken)


@pytest.mark.parametrize("answer", [*WHOLE.values(), OK + b"\r\nabc"])
def test_a_response_that_has_ended_refers_to_nothing_of_its_own(answer: bytes) -> None:
    """It goes when it is let go, and not when the collector comes by."""
    gc.collect()
    gc.disable()
    try:
        before = held_readers()
        fed([answer])
        assert held_readers() == before
    finally:
        gc.enable()
