"""How far a run has come, as its log says: what is settled, what was begun, and when."""

from streaming.core.progress import NEW, read_progress
from tests.trimming_log import TrimmingLog


def begun_log(*, max_read: int = 1000) -> TrimmingLog:
    log = TrimmingLog(max_read=max_read)
    log.append("start", {"at": 0.0, "upstreams": ["a", "b", "c", "d", "e"]})
    log.append("attempt", {"at": 0.1, "upstream": "e"})
    log.append("chunk", {"at": 0.2, "upstream": "a", "n": 1, "data": "one"})
    log.append("chunk", {"at": 0.3, "upstream": "b", "n": 1, "data": "two"})
    return log


def settle(log: TrimmingLog) -> None:
    log.append("result", {"at": 0.4, "upstream": "b"})
    log.append("failure", {"at": 0.5, "upstream": "c", "code": "timeout"})
    log.append("failure", {"at": 1.5, "upstream": "d", "code": "cancelled"})


def test_a_log_that_holds_nothing_is_that_of_a_new_run() -> None:
    """There is nothing to go on with."""
    assert read_progress(TrimmingLog()) == NEW


def test_who_was_begun_is_who_has_chunks() -> None:
    """An attempt that was given up may be had again."""
    progress = read_progress(begun_log())
    assert progress.upstreams == ("a", "b", "c", "d", "e")
    assert progress.begun == {"a", "b"}
    assert progress.settled == set()
    assert progress.counts == {"ok": 0, "failed": 0, "cancelled": 0}
    assert progress.elapsed == 0.3


def test_outcomes_are_counted_by_their_kind() -> None:
    """Though a log gives a few events at a time; time goes on from the last one."""
    log = begun_log(max_read=2)
    settle(log)
    progress = read_progress(log)
    assert progress.begun == {"a", "b"}
    assert progress.settled == {"b", "c", "d"}
    assert progress.counts == {"ok": 1, "failed": 1, "cancelled": 1}
    assert progress.elapsed == 1.5


def test_anyone_may_have_been_begun_whose_chunks_were_trimmed() -> None:
    """The outcomes stay, and so does what they say."""
    log = begun_log()
    settle(log)
    log.trim_through(3)
    progress = read_progress(log)
    assert progress.begun == {"a", "b", "c", "d", "e"}
    assert progress.settled == {"b", "c", "d"}


def test_reading_changes_nothing_of_what_is_read_next() -> None:
    """What a run counts on from is its own."""
    log = begun_log()
    settle(log)
    read_progress(log)
    assert NEW.counts == {"ok": 0, "failed": 0, "cancelled": 0}
    assert read_progress(begun_log()).counts == NEW.counts
