"""What an application of somebody's own has to close is closed: `finally`, `aclose`, teardown.

Its views are in `own`, and `fanstream serve` serves it by the name of its module. They write down
their ends in a file, which outlives the server.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.servers.side_by_side import side_by_side
from tests.servers.stacks import NEWER_STACKS, STACKS, serving_stack
from tests.viewing import eventually, watching

OWN = Path(__file__).parent / "own"

VIEWS = {
    "talking": "finally",
    "talking_async": "finally",
    "silent_async": "finally",
    "by_hand": "aclose",
}
TEARDOWNS = ("teardown_request", "teardown_appcontext")

each_stack = pytest.mark.parametrize("case", [*STACKS, *NEWER_STACKS], ids=str)
each_view = pytest.mark.parametrize("view", VIEWS)


@dataclass(frozen=True, kw_only=True)
class Closing:
    """What was written down, a set of lines without their keys.

    Args:
        at_leaving: After all viewers had left, while the server went on.
        at_end: Of further viewers, which were there when the server was told to end.
        last_words: The name of the last event of each of these.
        status: The server's exit status.
        log: All that it has said.
    """

    at_leaving: set[str]
    at_end: set[str]
    last_words: list[str]
    status: int
    log: str


def close_all(stack, upstreams, folder):
    """Watch all views and leave; watch them again, and end the server."""
    notes = folder / "notes"
    notes.touch()
    leaving, ending = uuid4().hex, uuid4().hex
    env = {"NOTES": str(notes)}
    with serving_stack(stack, upstreams, folder=folder, cwd=OWN, env=env) as served:
        with ExitStack() as viewers:
            _watch_all(viewers, served, leaving)
        _wait_all(notes, leaving)
        with ExitStack() as viewers:
            streams = _watch_all(viewers, served, ending)
            served.signal()
            last_words = [event.event for stream in streams for event in stream.rest()[-1:]]
            status = served.wait()
    return Closing(
        at_leaving=_noted(notes, leaving),
        at_end=_noted(notes, ending),
        last_words=last_words,
        status=status,
        log=served.log(),
    )


def _watch_all(viewers, served, key):
    streams = [viewers.enter_context(watching(served.base_url, f"/{view}/{key}")) for view in VIEWS]
    for stream in streams:
        assert next(stream).data == {"key": key}
    return streams


def _noted(notes, key):
    lines = [line.rpartition(" ") for line in notes.read_text().splitlines()]
    return {what for what, _, noted_key in lines if noted_key == key}


def _wait_all(notes, key):
    """Wait until all is written down that will be, or for as long as anything may take."""
    wanted = {f"{what} {view}" for view, end in VIEWS.items() for what in (end, *TEARDOWNS)}
    try:
        eventually(lambda: _noted(notes, key) >= wanted)
    except AssertionError:
        return  # the tests say what is missing


@pytest.fixture(scope="module")
def closings(request, upstreams, tmp_path_factory):
    def close(stack):
        return close_all(stack, upstreams, tmp_path_factory.mktemp(str(stack)))

    with side_by_side(request, close) as result_of:
        yield result_of


@pytest.fixture
def closing(closings, case):
    """How an application of one's own was closed on a stack."""
    if case.is_missing:
        pytest.skip(f"{case.name} is not installed")
    return closings(case)


@each_stack
@each_view
def test_a_viewer_that_leaves_closes_its_generator(closing, view):
    """`finally` runs, or `aclose`, and may wait for something itself."""
    assert f"{VIEWS[view]} {view}" in closing.at_leaving


@each_stack
@each_view
def test_the_end_closes_each_generator(closing, view):
    """At the server's end they run as well, before its process is gone."""
    assert f"{VIEWS[view]} {view}" in closing.at_end


@each_stack
@each_view
@pytest.mark.parametrize("function", TEARDOWNS)
def test_teardown_functions_run(closing, view, function):
    """The application's own teardown functions have run for each stream, however it ended."""
    assert f"{function} {view}" in closing.at_leaving
    assert f"{function} {view}" in closing.at_end


@each_stack
def test_its_streams_are_told(closing, case, record):
    """Its end is as orderly as that of feeds."""
    assert closing.last_words == ["shutdown"] * len(VIEWS)
    assert closing.status == 0
    assert "Traceback" not in closing.log
    record(case, "`finally`, `aclose`, teardown", "run")
