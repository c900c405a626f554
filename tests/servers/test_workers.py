"""Several processes behind one port, with the log in Redis: whichever answers, the run is there."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from streaming.servers import SERVERS
from tests.redis_server import redis_serving
from tests.servers.ending import Ending, end
from tests.servers.side_by_side import side_by_side
from tests.servers.stacks import DRAIN_TIMEOUT, STACKS
from tests.serving import serving
from tests.viewing import Viewer, ask, watching

# Streams in which two workers have to get one each; which of them takes a connection is chance.
MAX_STREAMS = 100

# Seconds beyond `drain_timeout` in which all has to be gone.
MARGIN = 2.5

CONFIG = f"""
[server]
drain_timeout = {DRAIN_TIMEOUT}
[log]
url = "${{LOG}}"

[feeds.held]
[feeds.held.params.key]
[feeds.held.upstreams.a]
url = "${{UPSTREAMS}}/held/{{key}}"
"""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What two workers did with one run.

    Args:
        elsewhere: The processes that had viewers of it, beside the one that executes it.
        states: The statuses of the answers to who asked for its state.
        ending: How the server ended.
    """

    elsewhere: int
    states: set[int]
    ending: Ending


def share(stack, upstreams, folder: Path) -> Shared:
    """Start a run by one request, watch it until both workers have viewers, and end the server."""
    with redis_serving(folder) as redis, ExitStack() as stacked:
        served = stacked.enter_context(
            serving(
                stack.app,
                CONFIG,
                folder=folder,
                server=stack.name,
                env={"UPSTREAMS": upstreams.base_url, "LOG": redis.url},
                options=["--workers", "2"],
            )
        )
        body = {"key": uuid4().hex}
        run = ask(served.base_url, "/feeds/held", method="POST", json=body).json()["run"]
        streams: list[Viewer] = []
        while not (elsewhere := redis.cli("SCARD", f"fanstream:{{{run}}}:viewers")):
            assert len(streams) < MAX_STREAMS, "one worker takes all connections"
            streams.append(stacked.enter_context(watching(served.base_url, f"/runs/{run}")))
            streams[-1].until("start")
        path = f"/runs/{run}?format=json"
        return Shared(
            elsewhere=elsewhere,
            states={ask(served.base_url, path).status_code for _ in range(10)},
            ending=end(served, streams),
        )


CASES = [stack for stack in STACKS if SERVERS[stack.app][stack.name].has_workers]


@pytest.fixture(scope="module")
def sharings(request, upstreams, tmp_path_factory):
    def run(stack):
        return share(stack, upstreams, tmp_path_factory.mktemp(str(stack)))

    with side_by_side(request, run) as result_of:
        yield result_of


@pytest.fixture
def shared(sharings, case):
    """What the workers of a stack did."""
    if case.is_missing:
        pytest.skip(f"{case.name} is not installed")
    return sharings(case)


workers = pytest.mark.parametrize("case", CASES, ids=str)


@workers
def test_a_run_is_found_on_whatever_worker(shared):
    """The worker that executes it has viewers of it, and so has the other; each finds its state."""
    assert shared.elsewhere == 1
    assert shared.states == {200}


@workers
def test_all_workers_end_in_order(shared):
    """One SIGTERM: every stream is told to come back, and nothing is left of either worker."""
    ending = shared.ending
    assert ending.last_words
    assert set(ending.last_words) == {"drain"}
    assert ending.status == 0
    assert ending.took < DRAIN_TIMEOUT + MARGIN
    assert ending.is_port_free
    assert ending.survivors == []
    assert "Traceback" not in ending.log
