"""Clients that mean no good: beside them and after them, an ordinary one is served as before.

What one request may hold that is not as it should be is tried elsewhere; here it is what clients do
with their connections, on real servers.
"""

import socket
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import uuid4

import pytest

from streaming.servers import SERVERS
from tests.hostile import GARBAGE, dripping, send_garbage, sipping
from tests.inspecting import Inspected, inspecting
from tests.leaving import CUTS, get, leave_often
from tests.leaving import FEEDS as LEFT
from tests.serving import LOOPBACK
from tests.upstreams import UpstreamsThread
from tests.viewing import TIMEOUT, ask, eventually, watching

CLIENTS = 100
RECONNECTS = 500
LOOKS = 5

# What an ordinary client may wait longer than before: machines are shared. Whom a server forgot, or
# kept waiting for a client that says nothing, would wait for seconds.
MAX_RATIO = 3.0
MARGIN = 1.0

CONFIG = f"""
[server]
drain_timeout = 1.0
send_timeout = 2.0
max_lag_bytes = 1000000

{LEFT}

[feeds.wide]
on_disconnect = "cancel"
keep = 0.1
[feeds.wide.params.key]
[feeds.wide.upstreams.a]
url = "${{UPSTREAMS}}/endless/{{key}}?bytes=20000&delay=0.03"
read = "stream"

[feeds.resumed]
share = true
keep = 60.0
[feeds.resumed.params.key]
[feeds.resumed.upstreams.a]
url = "${{UPSTREAMS}}/held/{{key}}"
"""

# Its end does not come in any test's time.
LONG_HEAD = get("/healthz", "X-Drip: " + "x" * 10_000)
MAX_HEAD_TIME = 45.0

DEFAULTS = [(app, next(iter(servers))) for app, servers in SERVERS.items()]
# The others wait for ever, with a descriptor each; Werkzeug's server with a thread.
WITH_HEAD_TIMEOUT = [
    *DEFAULTS,
    *(
        pytest.param(pair, marks=pytest.mark.soak)
        for pair in [("quart", "hypercorn"), ("quart", "granian"), ("flask", "gevent")]
    ),
]
OTHERS = [(app, name) for app, servers in SERVERS.items() for name in list(servers)[1:]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked:
    """A server, and how it was before anyone meant ill.

    Args:
        first_event: Seconds to an ordinary client's first event.
    """

    served: Inspected
    upstreams: UpstreamsThread
    first_event: float
    descriptors: int


@pytest.fixture(
    scope="module",
    params=[*DEFAULTS, *(pytest.param(pair, marks=pytest.mark.soak) for pair in OTHERS)],
    ids="-".join,
)
def attacked(request, tmp_path_factory) -> Iterator[Attacked]:
    app, server = request.param
    with UpstreamsThread() as upstreams:
        env = {"UPSTREAMS": upstreams.base_url}
        folder = tmp_path_factory.mktemp(server)
        with inspecting(app, CONFIG, folder=folder, server=server, env=env) as served:
            yield Attacked(
                served=served,
                upstreams=upstreams,
                first_event=ordinary(served),
                descriptors=at_rest(served),
            )


@pytest.fixture(autouse=True)
def unharmed(attacked) -> Iterator[None]:
    """After each test: an ordinary client waits no longer, and nothing is held or logged."""
    begun = len(attacked.served.served.log())
    yield
    assert ordinary(attacked.served) <= MAX_RATIO * attacked.first_event + MARGIN
    eventually(lambda: not attacked.served.look()["viewers"])
    eventually(lambda: attacked.served.descriptors() <= attacked.descriptors)
    log = attacked.served.served.log()[begun:]
    assert "Traceback" not in log
    assert "ERROR" not in log


def at_rest(served: Inspected) -> int:
    """How many descriptors are open once all viewers have gone, without passing connections."""
    eventually(lambda: not served.look()["viewers"])
    return min(served.descriptors() for _ in range(LOOKS) if first_event(served))


def ordinary(served: Inspected) -> float:
    """The median of some ordinary clients' times to their first event."""
    return statistics.median(first_event(served) for _ in range(LOOKS))


def first_event(served: Inspected) -> float:
    began = time.monotonic()
    with watching(served.base_url, f"/feeds/quick?key={uuid4().hex}") as viewer:
        viewer.until("start")
    return time.monotonic() - began


def test_heads_that_drip(attacked):
    """While a hundred clients send their requests byte by byte, others are answered at once."""
    with dripping(attacked.served.port, LONG_HEAD, clients=CLIENTS):
        eventually(lambda: attacked.served.descriptors() >= attacked.descriptors + CLIENTS // 2)
        assert ordinary(attacked.served) <= MAX_RATIO * attacked.first_event + MARGIN


@pytest.mark.parametrize("attacked", WITH_HEAD_TIMEOUT, indirect=True, ids="-".join)
def test_heads_that_drip_come_to_an_end(attacked):
    """Who has not sent a request within the server's time for it is sent away."""
    with dripping(attacked.served.port, LONG_HEAD, clients=10):
        eventually(lambda: attacked.served.descriptors() >= attacked.descriptors + 5)
        deadline = time.monotonic() + MAX_HEAD_TIME
        while attacked.served.descriptors() > attacked.descriptors:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_readers_that_sip(attacked):
    """A hundred clients read a byte now and then of a stream that never ends; nobody waits."""
    requests = [get(f"/feeds/wide?key={uuid4().hex}") for _ in range(4)]
    with ExitStack() as stack:
        for request in requests:
            stack.enter_context(
                sipping(attacked.served.port, request, clients=CLIENTS // len(requests))
            )
        eventually(lambda: attacked.served.look()["viewers"] == CLIENTS)
        assert ordinary(attacked.served) <= MAX_RATIO * attacked.first_event + MARGIN


def test_resets_in_mid_stream(attacked):
    """Two hundred streams that are cut, half of them by resets, leave nothing behind."""
    leave_often(attacked.served.port, 200, ways=CUTS)


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage(attacked, name):
    """What is no HTTP is answered or hung up on, however often it comes."""
    with ThreadPoolExecutor(10) as clients:
        for n in range(10):
            clients.submit(
                send_garbage, attacked.served.port, GARBAGE[name], is_rude=n % 2 == 0
            ).add_done_callback(lambda sent: sent.result())


def test_clients_that_do_not_close(attacked):
    """Who does not hang up after the end of its connection keeps nobody from being served."""
    address = LOOPBACK, attacked.served.port
    with ExitStack() as stack:
        for _ in range(30):
            connection = stack.enter_context(socket.create_connection(address, timeout=TIMEOUT))
            connection.sendall(get("/healthz", "Connection: close"))
        assert ordinary(attacked.served) <= MAX_RATIO * attacked.first_event + MARGIN


def test_a_storm_of_reconnects(attacked):
    """Five hundred clients that come back at once all go on where they were."""
    served, key = attacked.served, uuid4().hex
    path = f"/feeds/resumed?key={key}&format=ndjson"
    with watching(served.base_url, path) as viewer:
        start = viewer.until("start")

    def come_back(_: int) -> str:
        with watching(served.base_url, path, headers={"Last-Event-ID": start.id}) as viewer:
            return viewer.until("done").data["reason"]

    with ThreadPoolExecutor(RECONNECTS) as clients:
        back = [clients.submit(come_back, n) for n in range(RECONNECTS)]
        eventually(lambda: served.look()["viewers"] == RECONNECTS)
        ask(attacked.upstreams.base_url, f"/release/{key}")
        assert {each.result() for each in back} == {"finished"}
    assert attacked.upstreams.calls[f"/held/{key}"] == 1
