"""A viewer that never reads: it is closed, nobody else notices, and it can come back.

What it leaves unread first fills the kernel's buffers and the server's; then a write takes longer
than `send_timeout`, or the viewer is further behind than `max_lag_bytes` when it is next looked at.
"""

import itertools
import re
import sys
import time
from dataclasses import dataclass
from uuid import uuid4

import pytest

from tests.servers.connections import is_held, read_to_end, stream_socket
from tests.servers.side_by_side import side_by_side
from tests.servers.stacks import SEND_TIMEOUT, STACKS, serving_stack
from tests.serving import LOOPBACK
from tests.viewing import Seen, eventually, watching

# Chunks, two of each 64 KiB, 33 times a second: longer than the deaf viewer lasts. The log holds
# them all, so both viewers have the same.
MISSED = 200

# Seconds beside `send_timeout` until a viewer is closed: the buffers fill first, and the sweep
# looks once a second.
MARGIN = 4.0

# Seconds between two chunks for who reads on; undisturbed there are two each 0.03.
MAX_GAP = 1.0


@dataclass(frozen=True, kw_only=True)
class Deafness:
    """What came of viewers that never read.

    Args:
        closed_after: Seconds until a run had lost its only viewer; None where it kept it.
        is_held: Whether its server kept the connection even so, with all that waits for it.
        seen: What another viewer of a run saw, while one did not read.
        last_id: The last id that this one found in its buffers, when it read after all.
        following: What it was given first when it came back with that.
    """

    closed_after: float | None
    is_held: bool
    seen: list[Seen]
    last_id: str
    following: Seen


# Beside one address, all of them: a server may then not say which one a client has connected to.
CASES = [(stack, LOOPBACK) for stack in STACKS]
EXPOSED = [(stack, "0.0.0.0") for stack in STACKS if stack.app == "quart"]


def be_deaf(case, upstreams, folder):
    """Never read, alone and beside another viewer."""
    stack, host = case
    with serving_stack(stack, upstreams, folder=folder, host=host) as served:
        closed_after, is_kept = _be_deaf_alone(served, upstreams)
        path = f"/feeds/flood?key={uuid4().hex}"
        with (
            watching(served.base_url, path) as other,
            stream_socket(served.port, path) as deaf,
        ):
            seen = [other.until("chunk") for _ in range(MISSED)]
            last_id = re.findall(rb"(?m)^id: (\S+)\n", read_to_end(deaf))[-1].decode()
            with watching(served.base_url, path, headers={"Last-Event-ID": last_id}) as back:
                following = next(back)
    return Deafness(
        closed_after=closed_after,
        is_held=is_kept,
        seen=seen,
        last_id=last_id,
        following=following,
    )


def _be_deaf_alone(served, upstreams):
    key = uuid4().hex
    began = time.monotonic()
    with stream_socket(served.port, f"/feeds/flood?key={key}") as deaf:
        try:
            upstreams.wait_closed_by_peer(f"/endless/{key}", timeout=SEND_TIMEOUT + MARGIN)
        except TimeoutError:
            return None, True
        closed_after = time.monotonic() - began
        return closed_after, sys.platform == "linux" and _is_kept(deaf)


def _is_kept(deaf):
    """Say whether a connection is held at its other end for longer than its end takes there."""
    try:
        eventually(lambda: not is_held(deaf))
    except AssertionError:
        return True
    return False


@pytest.fixture(scope="module")
def deafnesses(request, upstreams, tmp_path_factory):
    def run(case):
        return be_deaf(case, upstreams, tmp_path_factory.mktemp(str(case[0])))

    with side_by_side(request, run) as result_of:
        yield result_of


@pytest.fixture
def deafness(deafnesses, case):
    """What came of viewers that never read, on a stack."""
    if case[0].is_missing:
        pytest.skip(f"{case[0].name} is not installed")
    return deafnesses(case)


def name(case):
    """What a test of a case is called."""
    return str(case[0]) if case[1] == LOOPBACK else f"{case[0]}-{case[1]}"


each_stack = pytest.mark.parametrize("case", CASES, ids=name)
each_address = pytest.mark.parametrize("case", [*CASES, *EXPOSED], ids=name)


@each_address
def test_it_is_closed(deafness, case, record):
    """A run whose only viewer takes nothing loses it, wherever its server listens."""
    assert deafness.closed_after is not None
    if case in CASES:
        record(case[0], "never reads", deafness.closed_after)


@each_address
def test_its_connection_is_closed(deafness):
    """Nor is it kept by the server, with all that waits for it, until it reads or leaves."""
    assert not deafness.is_held


@each_stack
def test_others_go_on(deafness):
    """Another viewer of its run gets every chunk, and each in time."""
    assert [event.data["n"] for event in deafness.seen] == list(range(1, MISSED + 1))
    assert max(b.time - a.time for a, b in itertools.pairwise(deafness.seen)) < MAX_GAP


@each_stack
def test_it_comes_back(deafness):
    """It resumes by the last id that it has, without a gap."""
    assert deafness.following.n == int(deafness.last_id.rpartition("-")[2]) + 1
