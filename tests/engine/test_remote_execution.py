"""A run that another process executes: what that process is told of what happens here."""

import pytest

from streaming.core.feed import Feed, Upstream
from streaming.engine.log_memory import MemoryLog
from streaming.engine.remote_execution import RemoteExecution
from streaming.engine.run import Run
from tests.log_battery import make_budget

FEED = Feed("it", upstreams={"it": Upstream(url="http://host/")})


class NotingElsewhere:
    """Notes what the owner of a run is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def receive_viewers(self, run: Run, *, has_viewers: bool) -> None:
        self.told.append("viewers" if has_viewers else "no viewers")

    def tell_expected(self, run: Run) -> None:
        self.told.append("expected")

    def request_stop(self, run: Run, reason: str) -> None:
        self.told.append(reason)


@pytest.fixture
def elsewhere() -> NotingElsewhere:
    return NotingElsewhere()


@pytest.fixture
def run() -> Run:
    log = MemoryLog("0" * 32, budget=make_budget(), max_events=10, max_bytes=1000)
    return Run("0" * 32, feed=FEED, params={}, caller="", log=log, on_end=lambda run: None)


def test_the_first_and_the_last_viewer_are_told_of(run: Run, elsewhere: NotingElsewhere) -> None:
    """None in between, however they come and leave."""
    run.execute_by(RemoteExecution(run, elsewhere=elsewhere))
    run.attach()
    run.attach()
    run.detach()
    assert elsewhere.told == ["viewers"]
    run.detach()
    run.attach()
    assert elsewhere.told == ["viewers", "no viewers", "viewers"]


def test_viewers_that_were_there_before_are_told_of(run: Run, elsewhere: NotingElsewhere) -> None:
    """The run was executed here until now."""
    run.attach()
    run.attach()
    run.execute_by(RemoteExecution(run, elsewhere=elsewhere))
    assert elsewhere.told == ["viewers"]
    run.detach()
    run.detach()
    assert elsewhere.told == ["viewers", "no viewers"]


def test_who_may_come_is_told_of(run: Run, elsewhere: NotingElsewhere) -> None:
    """Where nobody is there who keeps the run."""
    run.execute_by(RemoteExecution(run, elsewhere=elsewhere))
    run.expect_viewer()
    run.attach()
    run.expect_viewer()
    assert elsewhere.told == ["expected", "viewers"]


def test_an_end_is_asked_for(run: Run, elsewhere: NotingElsewhere) -> None:
    """Nobody new joins the run from then on, though it has not ended."""
    run.execute_by(RemoteExecution(run, elsewhere=elsewhere))
    assert not run.is_stopping
    run.stop("stopped")
    assert elsewhere.told == ["stopped"]
    assert run.is_stopping
    assert not run.is_ended
