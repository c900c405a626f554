"""A run as one JSON document: what is in it, and the body that waits for it."""

import json
import tracemalloc
from typing import Any

import msgspec
import pytest

from streaming.core.body import MAX_WRITE_BYTES
from streaming.core.document import BEAT, DocumentBody, document_pieces
from tests.trimming_log import TrimmingLog

OPENED = 1000.0
START = {"at": 0.0, "run": "r", "feed": "city", "params": {"name": "Oslo"}, "upstreams": ["a", "b"]}
RESULT = {"at": 0.1, "upstream": "b", "status": 200, "body": [1, 2], "done": 1, "of": 2}
FAILURE = {"at": 0.2, "upstream": "a", "code": "timeout", "status": None, "done": 2, "of": 2}
DONE = {"at": 0.2, "ok": 1, "failed": 1, "cancelled": 0, "reason": "finished"}


def full_log() -> TrimmingLog:
    log = TrimmingLog(max_read=2)
    log.append("start", START)
    log.append("attempt", {"upstream": "a"})
    log.append("result", RESULT)
    log.append("chunk", {"upstream": "a"})
    log.append("failure", FAILURE)
    log.append("done", DONE)
    return log


def make_body(log: TrimmingLog, **options: Any) -> DocumentBody:
    return DocumentBody(log, **{"now": OPENED, "ping_interval": 15.0, **options})


def whole(log: TrimmingLog) -> bytes:
    return b"".join(document_pieces(log))


def without(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in names}


# ------------------------------------------------------------------------- the document


def test_document_of_a_finished_run() -> None:
    """The outcomes stand under their upstreams' names; attempts and chunks are left out."""
    assert json.loads(whole(full_log())) == {
        "run": "r",
        "feed": "city",
        "params": {"name": "Oslo"},
        "results": {"b": without(RESULT, "upstream")},
        "failures": {"a": without(FAILURE, "upstream")},
        "done": DONE,
    }


def test_document_is_one_line() -> None:
    """It ends as a line, and has no other line break."""
    written = whole(full_log())
    assert written.endswith(b"}\n")
    assert written.count(b"\n") == 1


def test_document_of_a_live_run() -> None:
    """While the run goes on `done` is null, and there are the outcomes so far."""
    log = TrimmingLog()
    log.append("start", START)
    log.append("result", RESULT)
    document = json.loads(whole(log))
    assert (document["done"], list(document["results"]), document["failures"]) == (None, ["b"], {})


def test_document_of_a_trimmed_log() -> None:
    """What a full log lets go is not part of it anyway."""
    log = full_log()
    before = whole(log)
    log.trim_through(log.last)
    assert whole(log) == before


@pytest.mark.parametrize(
    "value",
    [
        b"123456789012345678901234567890",
        b"9" * 5000,
        b"-0",
        b"1.50",
        b'{"z":1,"a":[null,{"n":' + b"1" * 5000 + b"}]}",
        b"[" * 490 + b"]" * 490,
    ],
    ids=len,
)
def test_values_stand_as_they_stood(value: bytes) -> None:
    """Not a digit of an upstream's answer changes on the way through the document."""
    log = TrimmingLog()
    log.append("start", START)
    log.append("result", {"upstream": "a", "body": msgspec.Raw(value)})
    assert b'"results":{"a":{"body":' + value + b"}}" in whole(log)


def test_names_of_upstreams_are_read() -> None:
    """A name that JSON escapes is the same name in the document."""
    log = TrimmingLog()
    log.append("result", {"upstream": 'a"\\é', "body": 1})
    assert json.loads(whole(log))["results"] == {'a"\\é': {"body": 1}}


def test_outcomes_stand_beside_each_other() -> None:
    """Also those that have nothing beside their names."""
    log = TrimmingLog()
    for name in "ab":
        log.append("result", {"upstream": name})
        log.append("failure", {"upstream": name, "code": name})
    document = json.loads(whole(log))
    assert document["results"] == {"a": {}, "b": {}}
    assert document["failures"] == {"a": {"code": "a"}, "b": {"code": "b"}}


def big_log() -> TrimmingLog:
    """A body that would be a hundred times its size as objects."""
    log = TrimmingLog()
    log.append("start", START)
    body = msgspec.Raw(b"[" + b"{}," * 300_000 + b"{}]")
    log.append("result", {"upstream": "a", "body": body})
    log.append("done", DONE)
    return log


def test_viewers_share_the_log() -> None:
    """Twenty that have begun to read a document hold a write each, and no copy of it."""
    log = big_log()
    tracemalloc.start()
    bodies = [make_body(log) for _ in range(20)]
    written = [[body.step(OPENED), body.step(OPENED)] for body in bodies]
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all(isinstance(piece, bytes) for pieces in written for piece in pieces)
    assert held < log.end_offset + len(bodies) * 2 * MAX_WRITE_BYTES


# ----------------------------------------------------------------------------- its body


def rest_of(body: DocumentBody) -> list[bytes]:
    pieces = []
    while isinstance(written := body.step(OPENED), bytes):
        pieces.append(written)
    assert written is None
    return pieces


def test_writes_are_bounded() -> None:
    """A document is cut into writes, which are full but for a few, and together are all of it."""
    log = big_log()
    pieces = rest_of(make_body(log))
    assert max(map(len, pieces)) == MAX_WRITE_BYTES
    assert len(pieces) <= log.end_offset // MAX_WRITE_BYTES + 3
    assert b"".join(pieces) == whole(log)


def test_document_is_of_its_first_write() -> None:
    """What happens to the run while a slow viewer reads has no part in it."""
    log = big_log()
    log.held.pop()
    log.is_ended = False
    body = make_body(log, expires=OPENED)
    before = whole(log)
    first = body.step(OPENED)
    assert isinstance(first, bytes)
    log.append("failure", FAILURE)
    log.append("done", DONE)
    log.held.clear()
    assert first + b"".join(rest_of(body)) == before


def test_shut_down_in_its_middle_changes_nothing() -> None:
    """A document that has begun is written to its end."""
    log = big_log()
    body = make_body(log)
    first = body.step(OPENED)
    assert isinstance(first, bytes)
    body.shut_down("drain")
    assert first + b"".join(rest_of(body)) == whole(log)


def test_beat_at_once() -> None:
    """The first step writes a space, as some servers hold the head back until there is a byte."""
    body = make_body(TrimmingLog())
    assert body.step(OPENED) == BEAT
    assert body.step(OPENED) == OPENED + 15


def test_beats_while_it_waits() -> None:
    """Events do not show: a beat is written every `ping_interval` until the run has ended."""
    log = TrimmingLog()
    body = make_body(log)
    body.step(OPENED)
    log.append("start", START)
    assert body.step(OPENED + 14) == OPENED + 15
    assert body.step(OPENED + 15) == BEAT
    assert body.step(OPENED + 16) == OPENED + 30


def test_document_at_the_end() -> None:
    """Once the run has ended its document is written, and then there is nothing more."""
    log = full_log()
    body = make_body(log)
    assert body.step(OPENED) == whole(log)
    assert [body.step(OPENED), body.step(OPENED + 100)] == [None, None]


def test_beats_and_document_are_json() -> None:
    """All that was written together is one JSON text."""
    log = TrimmingLog()
    body = make_body(log)
    written = [body.step(OPENED), body.step(OPENED + 15)]
    log.append("done", DONE)
    written.append(body.step(OPENED + 16))
    assert json.loads(b"".join(piece for piece in written if isinstance(piece, bytes)))["done"]


def test_shut_down_is_cut_short() -> None:
    """A drain writes the document as it stands, `done` null, and ends."""
    log = TrimmingLog()
    log.append("start", START)
    body = make_body(log)
    body.step(OPENED)
    body.shut_down("drain")
    written = body.step(OPENED)
    assert isinstance(written, bytes)
    assert json.loads(written)["done"] is None
    assert body.step(OPENED) is None


def test_expiry_cuts_short() -> None:
    """At its age's end the document is written as it stands; until then it waits no longer."""
    body = make_body(TrimmingLog(), expires=OPENED + 5)
    body.step(OPENED)
    assert body.step(OPENED + 4) == OPENED + 5
    written = body.step(OPENED + 5)
    assert isinstance(written, bytes)
    assert json.loads(written)["done"] is None
    assert body.step(OPENED + 5) is None


@pytest.mark.parametrize("now", [OPENED, -OPENED])
def test_beat_hastened(now: float) -> None:
    """A hastened beat is written by the next step, by any clock, and only once."""
    body = make_body(TrimmingLog(), now=now)
    body.step(now)
    body.hasten_beat()
    assert [body.step(now), body.step(now)] == [BEAT, now + 15]
