"""Each answer is seen the moment it arrives, by every kind of client, on both applications.

With gates, which prove the order without a clock: an upstream answers only once the answer before
it was seen. Then with the delays of a real feed, and many at once.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.apps.scenarios import WIRES
from tests.serving import Served
from tests.viewing import reading, watching

STEPS = range(1, 11)
AT_ONCE = 50

# A time is measured again, so often at most, if the machine had something else to do.
ATTEMPTS = 3

# How many of ten may be late because the machine had something else to do. A server that held
# events back would have all of them late.
MAX_LATE = 2


def curl(served: Served, target: str) -> Iterator[bytes]:
    """Lines as `curl -N` prints them."""
    command = ["curl", "-sSN", "--noproxy", "*", f"{served.base_url}{target}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield from process.stdout
    assert process.returncode == 0


def read_lines(served: Served, target: str) -> Iterator[bytes]:
    """Lines as they come over the socket."""
    with reading(served.port, target) as response:
        yield from iter(response.readline, b"")


needs_curl = pytest.mark.skipif(
    shutil.which("curl") is None and "CI" not in os.environ, reason="curl is not installed"
)
each_client = pytest.mark.parametrize("client", [read_lines, pytest.param(curl, marks=needs_curl)])


@each_client
@pytest.mark.parametrize("format", WIRES)
def test_each_line_is_seen_before_the_next_upstream_answers(served, release, key, format, client):
    """Ten upstreams, each of which waits until the one before has been seen."""
    with closing(client(served, f"/feeds/steps?key={key}&format={format}")) as lines:
        for step in STEPS:
            release(f"{key}-{step}")
            assert any(f'"key":"{key}-{step}"'.encode() in line for line in lines), step
        assert b"finished" in b"".join(lines)


@pytest.mark.parametrize("format", ["sse", "ndjson"])
def test_each_event_is_seen_before_the_next_upstream_answers(url, release, key, format):
    """The same with httpx, and with httpx-sse on top of it."""
    with watching(url, f"/feeds/steps?key={key}&format={format}") as viewer:
        for step in STEPS:
            release(f"{key}-{step}")
            assert viewer.until("result").data["body"]["key"] == f"{key}-{step}"
        assert viewer.until("done").data["ok"] == len(STEPS)


def test_a_chunk_is_seen_before_its_stream_goes_on(url, release, key):
    """A piece of a streamed body is passed on while the upstream is silent."""
    with watching(url, f"/feeds/words?key={key}") as viewer:
        assert viewer.until("chunk").data["data"] == "first"
        release(key)
        assert viewer.until("chunk").data["data"] == "second"


def watch(client, served, format) -> list[tuple[float, float]]:
    """Each result of the ten delays: when its upstream answered, and when it was seen."""
    return [
        (float(answered[1]), time.monotonic())
        for line in client(served, f"/feeds/delays?format={format}")
        if (answered := re.search(rb'"monotonic":([0-9.]+)', line))
    ]


def lateness(seen: list[tuple[float, float]]) -> int:
    """How many results were seen only after the next upstream had answered."""
    return sum(seen[n][1] > seen[n + 1][0] for n in range(len(seen) - 1))


@pytest.fixture(scope="module")
def seen_by_all(served):
    """What six viewers saw, all of them at the same time."""
    clients = [read_lines, curl] if shutil.which("curl") else [read_lines]
    viewers = [(client, format) for client in clients for format in WIRES]
    with ThreadPoolExecutor(len(viewers)) as pool:
        for _ in range(ATTEMPTS):
            seen = list(pool.map(lambda viewer: watch(viewer[0], served, viewer[1]), viewers))
            if max(map(lateness, seen)) <= MAX_LATE:
                break
    return dict(zip(viewers, seen, strict=True))


@each_client
@pytest.mark.parametrize("format", WIRES)
def test_ten_delays_are_seen_one_by_one(seen_by_all, client, format):
    """With 100, 200 … 1,000 ms, each result is seen before the next upstream answers."""
    seen = seen_by_all[client, format]
    assert len(seen) == 10
    assert [answered for answered, _ in seen] == sorted(answered for answered, _ in seen)
    assert lateness(seen) <= MAX_LATE


def test_fifty_at_once_are_as_fast_as_one(served):
    """Fifty requests at once all complete, and none takes twice the time of one."""

    def seconds(_):
        began = time.monotonic()
        assert len(watch(read_lines, served, "sse")) == 10
        return time.monotonic() - began

    def slowness(_):
        alone = seconds(None)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return max(pool.map(seconds, range(AT_ONCE))) / alone

    assert any(slowness < 2 for slowness in map(slowness, range(ATTEMPTS)))
