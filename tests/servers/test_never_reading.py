"""A viewer that never reads: it is closed, nobody else notices, and it can come back.

What it leaves unread first fills the kernel's buffers and the server's; then a write takes longer
than `send_timeout`, or the viewer is further behind than `max_lag_bytes` when it is next looked at.
"""

import itertools
import re
import time
from dataclasses import dataclass
from uuid import uuid4

import pytest

from tests.servers.connections import read_to_end, stream_socket
from tests.servers.side_by_side import side_by_side
from tests.servers.stacks import SEND_TIMEOUT, STACKS, serving_stack
from tests.viewing import Seen, watching

# Chunks of 64 KiB, 33 a second: longer than the deaf viewer lasts. The log holds them all, as they
# are and once more for each wire; so both viewers have the same.
MISSED = 100

# Seconds beside `send_timeout` until a viewer is closed: the buffers fill first, and the sweep
# looks once a second.
MARGIN = 4.0

# Seconds between two chunks for who reads on; undisturbed they are 0.03 apart.
MAX_GAP = 1.0


@dataclass(frozen=True, kw_only=True)
class Deafness:
    """What came of viewers that never read.

    Args:
        closed_after: Seconds until a run had lost its only viewer; None where it kept it.
        seen: What another viewer of a run saw, while one did not read.
        last_id: The last id that this one found in its buffers, when it read after all.
        following: What it was given first when it came back with that.
    """

    closed_after: float | None
    seen: list[Seen]
    last_id: str
    following: Seen


def be_deaf(stack, upstreams, folder):
    """Never read, alone and beside another viewer."""
    with serving_stack(stack, upstreams, folder=folder) as served:
        closed_after = _be_deaf_alone(served, upstreams)
        path = f"/feeds/flood?key={uuid4().hex}"
        with (
            watching(served.base_url, path) as other,
            stream_socket(served.port, path) as deaf,
        ):
            seen = [other.until("chunk") for _ in range(MISSED)]
            last_id = re.findall(rb"(?m)^id: (\S+)\n", read_to_end(deaf))[-1].decode()
            with watching(served.base_url, path, headers={"Last-Event-ID": last_id}) as back:
                following = next(back)
    return Deafness(closed_after=closed_after, seen=seen, last_id=last_id, following=following)


def _be_deaf_alone(served, upstreams):
    key = uuid4().hex
    began = time.monotonic()
    with stream_socket(served.port, f"/feeds/flood?key={key}"):
        try:
            upstreams.wait_closed_by_peer(f"/endless/{key}", timeout=SEND_TIMEOUT + MARGIN)
        except TimeoutError:
            return None
    return time.monotonic() - began


@pytest.fixture(scope="module")
def deafnesses(request, upstreams, tmp_path_factory):
    def run(stack):
        return be_deaf(stack, upstreams, tmp_path_factory.mktemp(str(stack)))

    with side_by_side(request, run) as result_of:
        yield result_of


@pytest.fixture
def deafness(deafnesses, case):
    """What came of viewers that never read, on a stack."""
    if case.is_missing:
        pytest.skip(f"{case.name} is not installed")
    return deafnesses(case)


each_stack = pytest.mark.parametrize("case", STACKS, ids=str)


@each_stack
def test_it_is_closed(deafness, case, record):
    """A run whose only viewer takes nothing loses it."""
    assert deafness.closed_after is not None
    record(case, "never reads", deafness.closed_after)


@each_stack
def test_others_go_on(deafness):
    """Another viewer of its run gets every chunk, and each in time."""
    assert [event.data["n"] for event in deafness.seen] == list(range(1, MISSED + 1))
    assert max(b.time - a.time for a, b in itertools.pairwise(deafness.seen)) < MAX_GAP


@each_stack
def test_it_comes_back(deafness):
    """It resumes by the last id that it has, without a gap."""
    assert deafness.following.n == int(deafness.last_id.rpartition("-")[2]) + 1
