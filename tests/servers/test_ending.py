"""SIGTERM once and twice: last words on every stream, gone in time, and nothing left behind.

Also on a newer Python, where there is one.
"""

import pytest

from tests.servers.ending import STREAMS, end_once, end_twice
from tests.servers.side_by_side import side_by_side
from tests.servers.stacks import DRAIN_TIMEOUT, NEWER_STACKS, STACKS

# Seconds beyond `drain_timeout` in which all has to be gone.
MARGIN = 2.0

# Seconds for an end that waits for nobody.
AT_ONCE = 3.0

WAYS = {"once": end_once, "twice": end_twice}
CASES = [(stack, way) for stack in [*STACKS, *NEWER_STACKS] for way in WAYS]


@pytest.fixture(scope="module")
def endings(request, upstreams, tmp_path_factory):
    def end(case):
        stack, way = case
        return WAYS[way](stack, upstreams, tmp_path_factory.mktemp(str(stack)))

    with side_by_side(request, end) as result_of:
        yield result_of


def cases(*ways):
    """Try these ways on all stacks."""
    tried = [case for case in CASES if case[1] in ways]
    return pytest.mark.parametrize("case", tried, ids=lambda case: f"{case[0]}-{case[1]}")


@pytest.fixture
def ending(endings, case):
    """How the server of a stack ended."""
    if case[0].is_missing:
        pytest.skip(f"{case[0].name} is not installed")
    return endings(case)


@cases("once")
def test_all_streams_get_their_last_words(ending):
    """Ten open streams are told that their runs end with the server, and are ended in order."""
    assert ending.last_words == ["shutdown"] * STREAMS


@cases("once")
def test_it_is_gone_in_time(ending, case, record):
    """With streams that would go on for ever it takes the time that it was given, and no more."""
    record(case[0], "SIGTERM, ten streams", ending.took)
    assert ending.took < DRAIN_TIMEOUT + MARGIN


@cases("twice")
def test_a_second_signal_ends_it_at_once(ending, case, record):
    """Who says it twice does not wait for the streams."""
    record(case[0], "two SIGTERMs", ending.took)
    assert ending.took < AT_ONCE


@cases(*WAYS)
def test_its_end_is_a_success(ending):
    """It has done what it was told: status 0, and no traceback."""
    assert ending.status == 0
    assert "Traceback" not in ending.log


@cases(*WAYS)
def test_nothing_is_left_of_it(ending):
    """The port is free for the next, and no process of it runs on."""
    assert ending.is_port_free
    assert ending.survivors == []
