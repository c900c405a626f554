"""The body of a viewer, stepped with times of the test's own: no clock, no loop, no thread."""

import json
from typing import Any

import pytest

from streaming.core.body import MAX_WRITE_BYTES, BodyLimits, StreamBody
from streaming.core.entry import Entry, Reading
from streaming.core.event import Event
from streaming.core.sse_decoder import SseDecoder
from streaming.core.wire import WIRES
from tests.trimming_log import RUN, TrimmingLog

SSE = WIRES["sse"]
LIMITS = BodyLimits(retry_ms=2000, ping_interval=15.0, max_lag_events=100, max_lag_bytes=10_000)
OPENED = 1000.0
PREAMBLE = SSE.preamble(retry_ms=2000, ping_interval=15.0)


def make_body(log: TrimmingLog, **options: Any) -> StreamBody:
    return StreamBody(log, **{"wire": SSE, "limits": LIMITS, "now": OPENED, **options})


def encoded(entry: Entry) -> bytes:
    return b"".join(Reading([entry]).encoded(SSE))


def write(body: StreamBody, now: float = OPENED) -> bytes:
    written = body.step(now)
    assert isinstance(written, bytes)
    return written


def names(written: bytes) -> list[str]:
    """Decode what was written; each event by its name, and its number where it has one."""
    events = SseDecoder().decode(written)
    places = [(event.event, event.last_event_id.rpartition("-")[2]) for event in events]
    return [name if name in ("reset", "shutdown", "ping") else f"{name} {n}" for name, n in places]


def data_of(written: bytes, name: str) -> Any:
    (event,) = [event for event in SseDecoder().decode(written) if event.event == name]
    return json.loads(event.data)


# ------------------------------------------------------------------------------ opening


def test_preamble_at_once() -> None:
    """The first step writes the preamble, before there is any event."""
    assert write(make_body(TrimmingLog())) == PREAMBLE


def test_preamble_and_what_is_there_in_one_write() -> None:
    """A viewer that comes late gets the preamble and all events in its first write."""
    log = TrimmingLog()
    log.append("start")
    log.append_chunks(2)
    written = write(make_body(log))
    assert written.startswith(PREAMBLE)
    assert names(written) == ["start 1", "chunk 2", "chunk 3"]


def test_preamble_says_the_id_again() -> None:
    """A viewer that resumes has its id back by the next blank line, as the standard forgets it."""
    log = TrimmingLog()
    log.append_chunks(5)
    decoder = SseDecoder()
    assert decoder.decode(write(make_body(log, after=5, last_id=f"{RUN}-5"))) == []
    assert decoder.decode(b"\n") == []
    assert decoder.last_event_id == f"{RUN}-5"


def test_opening_events_come_first() -> None:
    """What a stream says of itself at its start stands between the preamble and the log."""
    log = TrimmingLog()
    log.append("start")
    written = write(make_body(log, opening=[Event("reset", {"reason": "unknown"})]))
    assert names(written) == ["reset", "start 1"]
    assert data_of(written, "reset") == {"reason": "unknown"}


def test_reads_on_from_its_cursor() -> None:
    """A viewer that has three events gets the fourth."""
    log = TrimmingLog()
    log.append_chunks(5)
    assert names(write(make_body(log, after=3))) == ["chunk 4", "chunk 5"]


# ------------------------------------------------------------------------------ writing


def test_pending_in_one_write() -> None:
    """What was appended between two steps is one write, in order."""
    log = TrimmingLog()
    body = make_body(log)
    body.step(OPENED)
    log.append_chunks(20)
    assert names(write(body)) == [f"chunk {n}" for n in range(1, 21)]


@pytest.mark.parametrize("size", [100, 1000, 20_000, 40_000, 60_000])
def test_write_bounded(size: int) -> None:
    """Writes join as many whole events as their bound holds; what is left goes with the next."""
    log, sizes, seen = TrimmingLog(), [], []
    for _ in range(100):
        log.append(data="x" * (size - 2))
    body = make_body(log)
    while isinstance(written := body.step(OPENED), bytes):
        sizes.append(len(written))
        seen += names(written)
    one = len(encoded(log.held[-1]))
    assert all(MAX_WRITE_BYTES - one < size <= MAX_WRITE_BYTES for size in sizes[:-1])
    assert seen == [f"chunk {n}" for n in range(1, 101)]


def test_long_event_in_many_writes() -> None:
    """An event longer than a write is cut, byte for byte, and its end goes with what follows."""
    log, pieces = TrimmingLog(), []
    log.append(data="x" * 200_000)
    log.append(data="y" * 200_000)
    log.append("done")
    body = make_body(log)
    while isinstance(written := body.step(OPENED), bytes):
        pieces.append(written)
    assert b"".join(pieces) == PREAMBLE + b"".join(map(encoded, log.held))
    assert max(map(len, pieces)) == MAX_WRITE_BYTES
    assert len(pieces) <= 400_000 // MAX_WRITE_BYTES + 4


def test_nothing_comes_between_the_parts_of_an_event() -> None:
    """Neither a beat that is asked for or due, nor `shutdown`, before its end."""
    log, written = TrimmingLog(), b""
    log.append(data="x" * 200_000)
    body = make_body(log, expires=OPENED + 10)
    for now in (OPENED, OPENED + 1, OPENED + 20, OPENED + 40, OPENED + 60):
        body.hasten_beat()
        body.shut_down("drain")
        written += write(body, now)
    assert body.step(OPENED + 80) is None
    assert written.startswith(PREAMBLE + encoded(log.held[0]))
    assert names(written) == ["chunk 1", "shutdown"]


def test_waits_when_all_is_written() -> None:
    """With nothing left to write a step says until when to wait: the next beat."""
    body = make_body(TrimmingLog())
    body.step(OPENED)
    assert body.step(OPENED + 1) == OPENED + 15


def test_rests_once_all_is_written() -> None:
    """After a step that gave bytes, unless there is more: an event, its rest, an end, a word."""
    log = TrimmingLog()
    log.append(data="x" * 100_000)
    body = make_body(log)
    for _ in range(2):
        write(body)
        assert body.rest_until() is None
    write(body)
    assert body.rest_until() == body.step(OPENED)
    log.append()
    assert body.rest_until() is None
    write(body)
    assert body.rest_until() == body.step(OPENED)
    body.shut_down("drain")
    assert body.rest_until() is None


def test_does_not_rest_at_the_end() -> None:
    """A step says that it has come."""
    log = TrimmingLog()
    body = make_body(log)
    log.append("done")
    write(body)
    assert body.rest_until() is None
    assert body.step(OPENED) is None


# -------------------------------------------------------------------------------- beats


def test_beat_only_when_idle() -> None:
    """There is no beat before `ping_interval` has passed, one then, and none at once after it."""
    body = make_body(TrimmingLog())
    body.step(OPENED)
    assert body.step(OPENED + 14.9) == OPENED + 15
    assert body.step(OPENED + 15) == SSE.beat()
    assert body.step(OPENED + 15) == OPENED + 30


def test_events_put_the_beat_off() -> None:
    """An event counts as a sign of life: the beat is due one interval after it."""
    log = TrimmingLog()
    body = make_body(log)
    body.step(OPENED)
    log.append()
    body.step(OPENED + 14)
    assert body.step(OPENED + 15) == OPENED + 29


def test_event_instead_of_a_beat() -> None:
    """Where a beat is due and there is an event, the event alone is written."""
    log = TrimmingLog()
    body = make_body(log)
    body.step(OPENED)
    log.append()
    assert write(body, OPENED + 15) == encoded(log.held[0])


def test_beat_as_event() -> None:
    """Who asks for it gets a beat that a page can see."""
    body = make_body(TrimmingLog(), ping_as_event=True)
    body.step(OPENED)
    assert names(write(body, OPENED + 15)) == ["ping"]


@pytest.mark.parametrize("now", [OPENED, 0.0, -OPENED])
def test_beat_hastened(now: float) -> None:
    """A hastened beat is written by the next step, by any clock, and only once."""
    body = make_body(TrimmingLog(), now=now)
    body.step(now)
    body.hasten_beat()
    assert body.step(now) == SSE.beat()
    assert body.step(now) == now + 15


def test_hastened_beat_gives_way_to_events() -> None:
    """An event is as good a sign of life as the beat that was asked for."""
    log = TrimmingLog()
    body = make_body(log)
    body.step(OPENED)
    body.hasten_beat()
    log.append()
    assert names(write(body)) == ["chunk 1"]
    assert body.step(OPENED) == OPENED + 15


# ---------------------------------------------------------------------------------- end


def test_ends_after_done() -> None:
    """After the last event there is nothing more, however often it is asked."""
    log = TrimmingLog()
    body = make_body(log)
    body.step(OPENED)
    log.append("done")
    assert names(write(body)) == ["done 1"]
    assert [body.step(now) for now in (OPENED, OPENED + 60)] == [None, None]


def test_whole_replay_before_the_end() -> None:
    """A finished log is written to its last event, in as many writes as it takes."""
    log, seen = TrimmingLog(max_read=3), []
    log.append_chunks(9)
    log.append("done")
    body = make_body(log)
    while (written := body.step(OPENED)) is not None:
        assert isinstance(written, bytes)
        seen += names(written)
    assert seen == [f"chunk {n}" for n in range(1, 10)] + ["done 10"]


def test_nothing_left_of_a_finished_log() -> None:
    """A viewer that has it all gets the preamble and the end."""
    log = TrimmingLog()
    log.append("done")
    body = make_body(log, after=1)
    assert write(body) == PREAMBLE
    assert body.step(OPENED) is None


def test_no_beat_after_the_end() -> None:
    """A log that has ended without a further event ends its body, even where a beat is due."""
    log = TrimmingLog()
    body = make_body(log)
    body.step(OPENED)
    log.is_ended = True
    assert body.step(OPENED + 100) is None


# ----------------------------------------------------------------------------- shutdown


def test_shutdown_says_when_to_come_back() -> None:
    """A stream that is shut down says why, and when to come back: to page and browser."""
    body = make_body(TrimmingLog())
    body.step(OPENED)
    body.shut_down("drain")
    written = write(body)
    assert data_of(written, "shutdown") == {"reason": "drain", "reconnect_ms": 2000}
    assert written.startswith(b"retry: 2000\n")
    assert b"id:" not in written


def test_nothing_after_shutdown() -> None:
    """`shutdown` is the last that a stream says, whatever the log gets."""
    log = TrimmingLog()
    body = make_body(log)
    body.step(OPENED)
    body.shut_down("drain")
    body.step(OPENED)
    log.append()
    assert [body.step(OPENED), body.step(OPENED + 100)] == [None, None]


def test_pending_before_shutdown() -> None:
    """What is there already is written before the stream ends, in the same write."""
    log = TrimmingLog()
    body = make_body(log)
    body.step(OPENED)
    log.append()
    body.shut_down("drain")
    assert names(write(body)) == ["chunk 1", "shutdown"]


def test_shutdown_before_the_first_step() -> None:
    """A stream that is shut down before it began still says its preamble and its events."""
    log = TrimmingLog()
    log.append("start")
    body = make_body(log)
    body.shut_down("drain")
    written = write(body)
    assert written.startswith(PREAMBLE)
    assert names(written) == ["start 1", "shutdown"]
    assert body.step(OPENED) is None


def test_no_shutdown_after_done() -> None:
    """A log that is read out ends its stream by itself: nobody is told to come back."""
    log = TrimmingLog()
    log.append("done")
    body = make_body(log, expires=OPENED + 5)
    body.shut_down("drain")
    assert names(write(body)) == ["done 1"]
    assert body.step(OPENED + 5) is None


def test_max_age() -> None:
    """At its age's end a stream shuts down; until then it waits no longer than that."""
    body = make_body(TrimmingLog(), expires=OPENED + 5)
    body.step(OPENED)
    assert body.step(OPENED + 4) == OPENED + 5
    assert data_of(write(body, OPENED + 5), "shutdown")["reason"] == "max_age"
    assert body.step(OPENED + 5) is None


@pytest.mark.parametrize("is_ended", [False, True])
def test_nothing_is_read_after_its_age(is_ended: bool) -> None:
    """Not even where its client was slow to take what came before: its right may have ended."""
    log = TrimmingLog()
    log.append("start")
    body = make_body(log, expires=OPENED + 5)
    assert names(write(body)) == ["start 1"]
    log.append("done" if is_ended else "chunk")
    assert names(write(body, OPENED + 40)) == ["shutdown"]
    assert body.step(OPENED + 40) is None


def test_drain_goes_before_max_age() -> None:
    """The first reason that was given stands."""
    body = make_body(TrimmingLog(), expires=OPENED)
    body.shut_down("drain")
    assert data_of(write(body), "shutdown")["reason"] == "drain"


def test_shutdown_loses_nothing() -> None:
    """A stream that is shut down in the middle of a replay goes on from its last id elsewhere."""
    log = TrimmingLog(max_read=3)
    log.append_chunks(8)
    body = make_body(log)
    body.shut_down("drain")
    assert names(write(body)) == ["chunk 1", "chunk 2", "chunk 3", "shutdown"]
    assert names(write(make_body(log, after=3))) == ["chunk 4", "chunk 5", "chunk 6"]


# ---------------------------------------------------------------------------------- lag


def test_lagging_by_events() -> None:
    """A viewer with more to read than the bound is told so at once, and gets none of it."""
    log = TrimmingLog()
    body = make_body(log)
    body.step(OPENED)
    log.append_chunks(101)
    written = write(body)
    assert names(written) == ["shutdown"]
    assert data_of(written, "shutdown") == {"reason": "lagging", "reconnect_ms": 2000}
    assert body.step(OPENED) is None


def test_at_the_bound_is_no_lag() -> None:
    """As many events as the bound are written."""
    log = TrimmingLog()
    body = make_body(log)
    body.step(OPENED)
    log.append_chunks(100)
    assert len(names(write(body))) == 100


def test_lagging_by_bytes() -> None:
    """The bound of bytes counts payloads: at it all is written, beyond it the stream ends."""
    log = TrimmingLog()
    body = make_body(log)
    body.step(OPENED)
    log.append(data="x" * 9_998)
    assert names(write(body)) == ["chunk 1"]
    log.append(data="x" * 9_999)
    assert names(write(body)) == ["shutdown"]


def test_replay_is_no_lag() -> None:
    """However long the log was when the viewer came, reading it is not lagging."""
    log = TrimmingLog(max_read=10)
    for _ in range(1000):
        log.append(data="x" * 100)
    body, seen = make_body(log), []
    while isinstance(written := body.step(OPENED), bytes):
        seen += names(written)
    assert len(seen) == 1000


def test_lag_counts_what_came_after_the_viewer() -> None:
    """During a replay new events count towards the bound, and only they."""
    log = TrimmingLog(max_read=10)
    log.append_chunks(1000)
    body = make_body(log)
    body.step(OPENED)
    log.append_chunks(100)
    assert len(names(write(body))) == 10
    log.append()
    assert names(write(body)) == ["shutdown"]


def test_lag_shrinks_as_it_is_read() -> None:
    """A viewer that keeps up never lags, whatever the log amounts to."""
    log = TrimmingLog()
    body = make_body(log)
    body.step(OPENED)
    for _ in range(50):
        log.append_chunks(90)
        assert len(names(write(body))) == 90


def test_replay_after_a_reset_is_no_lag() -> None:
    """What a viewer reads again after a `reset` does not count as unread."""
    log = TrimmingLog(max_read=200)
    log.append("start")
    body = make_body(log)
    for _ in range(3):
        log.append_chunks(90)
        body.step(OPENED)
    log.append_chunks(60)
    log.trim_through(300)
    log.max_read = 1
    assert names(write(body)) == ["reset", "start 1"]
    assert names(write(body)) == ["chunk 301"]


# ----------------------------------------------------------------------------- trimming


def test_trimmed_is_said() -> None:
    """A viewer that missed something gets `reset`, the start, and what is held."""
    log = TrimmingLog()
    log.append("start")
    body = make_body(log)
    body.step(OPENED)
    log.append_chunks(9)
    log.append("result")
    log.trim_through(8)
    written = write(body)
    assert names(written) == ["reset", "start 1", "chunk 9", "chunk 10", "result 11"]
    assert data_of(written, "reset") == {"reason": "trimmed"}


def test_reset_is_said_once() -> None:
    """After its `reset` a viewer reads on as any other."""
    log = TrimmingLog(max_read=2)
    log.append("start")
    log.append_chunks(9)
    log.trim_through(5)
    body = make_body(log, after=2)
    assert names(write(body)) == ["reset", "start 1", "chunk 6"]
    assert names(write(body)) == ["chunk 7", "chunk 8"]


def test_reset_for_each_gap() -> None:
    """Who has read past one gap and misses more is told again."""
    log = TrimmingLog()
    log.append("start")
    log.append_chunks(9)
    log.trim_through(5)
    body = make_body(log, after=2)
    body.step(OPENED)
    log.append_chunks(10)
    log.trim_through(15)
    assert names(write(body))[:3] == ["reset", "start 1", "chunk 16"]


def test_no_reset_for_what_was_read() -> None:
    """Trimming what a viewer has already is none of its business."""
    log = TrimmingLog()
    log.append_chunks(9)
    body = make_body(log)
    body.step(OPENED)
    log.trim_through(9)
    log.append()
    assert names(write(body)) == ["chunk 10"]


def test_new_viewer_of_a_trimmed_log() -> None:
    """A viewer that comes too late for the whole log is told so first."""
    log = TrimmingLog()
    log.append("start")
    log.append_chunks(9)
    log.trim_through(5)
    assert names(write(make_body(log)))[:3] == ["reset", "start 1", "chunk 6"]


def test_trimmed_while_reading() -> None:
    """A log that another thread trims in the middle of a step leaves no silent gap."""
    log = TrimmingLog()
    log.append("start")
    body = make_body(log)
    body.step(OPENED)
    log.append_chunks(9)
    log.before_read = lambda: log.trim_through(5)
    assert names(write(body))[:3] == ["reset", "start 1", "chunk 6"]


def test_growing_gap_is_passed() -> None:
    """A log that is trimmed at each append cannot hold a viewer at its outcomes for ever."""
    log, seen = TrimmingLog(max_read=2), []
    log.append("start")
    log.append_chunks(30)
    for _ in range(6):
        log.append("result")
    log.append_chunks(20)
    log.trim_through(40)
    body = make_body(log, after=1)
    for n in range(41, 46):
        seen += names(write(body))
        log.append()
        log.trim_through(n)
    assert seen == [
        *("reset", "start 1"),
        *(f"result {n}" for n in range(32, 38)),
        *(f"chunk {n}" for n in (44, 45, 46)),
    ]
