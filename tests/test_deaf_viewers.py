"""A hundred viewers of one run, half of them deaf, while events of 20 KB flow: nobody waits.

And so it is with the deaf who have asked for a long document. What is shown here is that all
arrives, and in time; `python -m benchmarks deaf` has the figures.
"""

import socket
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from uuid import uuid4

import pytest

from tests.crowd import Crowd, Reader, ask, crowd, read_out
from tests.inspecting import Inspected, inspecting
from tests.upstreams import UpstreamsThread
from tests.viewing import ask as ask_whole
from tests.viewing import eventually

READERS = DEAF = 50
EVENTS = 300
EVENT_BYTES = 20_000
INTERVAL = 0.015
SEND_TIMEOUT = 2.0
DOCUMENT_BYTES = 8_000_000

CONFIG = f"""
[server]
drain_timeout = 1.0
send_timeout = {SEND_TIMEOUT}
max_lag_bytes = 1000000

[log]
max_log_bytes = 64000000

[feeds.long]
on_disconnect = "detach"
[feeds.long.upstreams.a]
url = "${{UPSTREAMS}}/long-line?bytes={DOCUMENT_BYTES}"
read = "text"
max_bytes = {DOCUMENT_BYTES + 1}

[feeds.wide]
share = true
[feeds.wide.params.key]
[feeds.wide.upstreams.a]
url = "${{UPSTREAMS}}/ndjson/{{key}}?lines={EVENTS}&delay={INTERVAL}&pad={EVENT_BYTES}"
read = "ndjson"
"""

# What a server may need for the whole, in bytes: the log, with each event once as it is and once as
# it is written; for each viewer what its server buffers, two writes of 64 KiB at most, and as much
# again for its thread or its task. What the kernel buffers is not the process's. The rest is what
# an allocator does not give back. Without bounds the deaf alone would take 150 MB.
LOG_BYTES = 2 * EVENTS * EVENT_BYTES
VIEWER_BYTES = 256 << 10
MEMORY_BYTES = LOG_BYTES + (READERS + DEAF) * VIEWER_BYTES + (16 << 20)

# The same for a document, which nobody holds beside the log. A copy each would take 400 MB. granian
# takes a megabyte from its application before it waits for a client.
BUFFERED_BYTES = {"granian": 5 << 18}

# Start, the chunks, the result, done.
ALL_NUMBERS = list(range(1, EVENTS + 4))


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What came of two runs, the second with the deaf beside the readers."""

    alone: Crowd
    beside: Crowd
    deaf: list[Reader]
    resumed: list[Reader]
    grown_bytes: int
    descriptors_left: int


each_server = {
    "scope": "module",
    "params": [
        ("quart", "uvicorn"),
        ("flask", "gunicorn"),
        *(
            pytest.param(pair, marks=pytest.mark.soak)
            for pair in [
                ("quart", "hypercorn"),
                ("quart", "granian"),
                ("quart", "gunicorn"),
                ("flask", "gevent"),
                ("flask", "waitress"),
                ("flask", "werkzeug"),
            ]
        ),
    ],
    "ids": "-".join,
}


@pytest.fixture(**each_server)
def watched(request, tmp_path_factory) -> Iterator[Watched]:
    app, server = request.param
    with UpstreamsThread() as upstreams:
        env = {"UPSTREAMS": upstreams.base_url}
        folder = tmp_path_factory.mktemp(server)
        options = ["--threads", str(READERS + DEAF + 20)]
        with inspecting(
            app, CONFIG, folder=folder, server=server, env=env, options=options
        ) as served:
            yield watch(served)


def watch(served: Inspected) -> Watched:
    with crowd(served.port, wide(), readers=READERS, deaf=0) as alone:
        alone.read()
    eventually(lambda: not served.look()["viewers"])
    memory_before, descriptors_before = served.memory_bytes(), served.descriptors()
    target = wide()
    with crowd(served.port, target, readers=READERS, deaf=DEAF) as beside:
        with sampling(served) as memory:
            beside.read()
            # By then each deaf one was sent away, or cut off.
            eventually(lambda: not served.look()["viewers"])
        for reader in beside.readers:
            reader.connection.close()
        descriptors_left = settled(served, descriptors_before) - descriptors_before
        deaf = [Reader(connection) for connection in beside.deaf]
        for reader in deaf:
            read_out(reader)
        resumed = [resume(served.port, target, reader.last_id) for reader in deaf]
    return Watched(
        alone=alone,
        beside=beside,
        deaf=deaf,
        resumed=resumed,
        grown_bytes=max(memory) - memory_before,
        descriptors_left=descriptors_left,
    )


def wide() -> str:
    return f"/feeds/wide?key={uuid4().hex}"


def settled(served: Inspected, descriptors: int) -> int:
    """Wait until no more descriptors are open than these, for a time; how many there are."""
    with suppress(AssertionError):
        eventually(lambda: served.descriptors() <= descriptors)
    return served.descriptors()


@contextmanager
def sampling(served: Inspected) -> Iterator[list[int]]:
    """Give what memory is resident during the block, ten times a second."""
    samples = [served.memory_bytes()]
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(0.1):
            samples.append(served.memory_bytes())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def resume(port: int, target: str, last_id: str) -> Reader:
    """Come back with the last id that was read whole, and read the rest."""
    with socket.socket() as connection:
        ask(connection, port, target, last_id=last_id)
        reader = Reader(connection)
        read_out(reader)
    return reader


def test_readers_see_every_event(watched):
    """Whoever reads has the whole run, in order."""
    assert all(reader.numbers == ALL_NUMBERS for reader in watched.beside.readers)


def test_readers_wait_for_nobody(watched):
    """Events are on their way about as long as without the deaf; one that waited took seconds."""
    alone, beside = (statistics.median(each.delays) for each in (watched.alone, watched.beside))
    assert beside < 3 * alone + 0.1
    assert watched.beside.delays[-1] < watched.alone.delays[-1] + SEND_TIMEOUT / 2


def test_the_deaf_are_closed(watched):
    """Whoever takes nothing has not got to the end."""
    assert all(reader.numbers[-1] < ALL_NUMBERS[-1] for reader in watched.deaf)


def test_the_deaf_resume_without_a_gap(watched):
    """What they had, and what they get when they come back, is the whole run."""
    both = zip(watched.deaf, watched.resumed, strict=True)
    assert all(deaf.numbers + resumed.numbers == ALL_NUMBERS for deaf, resumed in both)


def test_the_deaf_leave_no_descriptor(watched):
    """Their connections are gone from the server, though they have closed nothing."""
    assert watched.descriptors_left <= 0


def test_memory_is_bounded(watched):
    """The server has grown by no more than `MEMORY_BYTES`."""
    assert watched.grown_bytes < MEMORY_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What came of those who asked for a long document and read none of it."""

    grown_bytes: int
    allowed_bytes: int
    open_beside: int
    read_beside: int
    seen_by_deaf: list[int]


@pytest.fixture(**each_server)
def asked(request, tmp_path_factory) -> Iterator[Asked]:
    app, server = request.param
    with UpstreamsThread() as upstreams:
        folder = tmp_path_factory.mktemp(server)
        # So few that the deaf alone would keep all others waiting, if they were not counted.
        options = ["--threads", str(DEAF + 10)]
        env = {"UPSTREAMS": upstreams.base_url}
        with inspecting(
            app, CONFIG, folder=folder, server=server, env=env, options=options
        ) as served:
            yield ask_for_document(served, BUFFERED_BYTES.get(server, VIEWER_BYTES))


def ask_for_document(served: Inspected, viewer_bytes: int) -> Asked:
    run = ask_whole(served.base_url, "/feeds/long?format=json").json()["run"]
    target = f"/runs/{run}?format=json"
    memory_before = served.memory_bytes()
    with crowd(served.port, target, readers=0, deaf=DEAF) as deaf, sampling(served) as memory:
        open_beside = served.look()["streams"]
        read_beside = len(ask_whole(served.base_url, target).content)
        eventually(lambda: not served.look()["viewers"])
        seen_by_deaf = [count_rest(connection) for connection in deaf.deaf]
    return Asked(
        grown_bytes=max(memory) - memory_before,
        allowed_bytes=DEAF * viewer_bytes + (16 << 20),
        open_beside=open_beside,
        read_beside=read_beside,
        seen_by_deaf=seen_by_deaf,
    )


def count_rest(connection: socket.socket) -> int:
    seen = 0
    with suppress(ConnectionResetError):
        while piece := connection.recv(1 << 18):
            seen += len(piece)
    return seen


def test_documents_take_slots(asked):
    """Who asks for one is counted as a stream while it is written."""
    assert asked.open_beside == DEAF


def test_documents_are_read_beside_the_deaf(asked):
    """Whoever reads has the whole document, while others read nothing of theirs."""
    assert asked.read_beside > DOCUMENT_BYTES


def test_who_does_not_read_a_document_is_closed(asked):
    """After `send_timeout`, and what they find in their kernel's buffers is not all of it."""
    assert max(asked.seen_by_deaf) < DOCUMENT_BYTES


def test_memory_of_documents_is_bounded(asked):
    """The server has grown by what it buffers for each, and by no document."""
    assert asked.grown_bytes < asked.allowed_bytes
