"""The benchmarks' upstream: what it answers, and when."""

import http.client
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.load.programs import TIMEOUT, linux_only, program, upstream, upstream_process

pytestmark = linux_only

GET = "GET {} HTTP/1.1\r\nHost: upstream\r\n\r\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with upstream() as port:
        yield port


def ask(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()


def lines_of(body: bytes) -> list[dict[str, Any]]:
    assert body.endswith(b"\n")
    return [json.loads(line) for line in body.splitlines()]


def asked(port: int, path: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
    connection.sendall(GET.format(path).encode())
    return connection


def head_of(connection: socket.socket) -> bytes:
    """Read the head of a stream that has no lines yet."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(65536)
    return head


def is_silent(connection: socket.socket) -> bool:
    connection.settimeout(0.2)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(TIMEOUT)
    return False


def test_an_answer_is_as_late_as_asked_and_says_when_it_was_written(port: int) -> None:
    """/delay/100 answers after 100 ms, with the time of that on the machine's monotonic clock."""
    begun = time.monotonic()
    status, body = ask(port, "/delay/100")
    answer = json.loads(body)
    assert (status, answer["delay_ms"]) == (200, 100)
    assert begun + 0.1 <= answer["monotonic"] <= time.monotonic()


def test_delays_run_side_by_side(port: int) -> None:
    """Twenty connections with delays of 300 to 110 ms are answered in the order of their ends."""
    delays = range(300, 100, -10)
    connections = [asked(port, f"/delay/{ms}") for ms in delays]
    answers = [connection.recv(4096).split(b"\r\n\r\n")[1] for connection in connections]
    written = [json.loads(answer)["monotonic"] for answer in answers]
    assert written == sorted(written, reverse=True)
    assert written[0] - written[-1] < 1.0
    for connection in connections:
        connection.close()


def test_requests_of_one_connection_are_answered_in_turn(port: int) -> None:
    """Requests that were sent at once get their answers one after the other."""
    with closing(asked(port, "/delay/50")) as connection:
        connection.sendall((GET.format("/delay/0") + GET.format("/ready")).encode())
        received = b""
        while b"ready\n" not in received:
            received += connection.recv(65536)
    assert re.findall(rb'"delay_ms":(\d+)', received) == [b"50", b"0"]


def test_a_stream_has_as_many_lines_as_asked(port: int) -> None:
    """Lines are numbered from one, and their times do not go backward."""
    begun = time.monotonic_ns()
    status, body = ask(port, "/ndjson?lines=20000")
    lines = lines_of(body)
    assert status == 200
    assert [line["n"] for line in lines] == list(range(1, 20001))
    times = [begun, *(line["t"] for line in lines), time.monotonic_ns()]
    assert times == sorted(times)


@pytest.mark.parametrize("batch", [0, 1])
def test_events_hold_the_same_lines(port: int, batch: int) -> None:
    """/sse has an event with number, name and line, in one write each or in many at once."""
    _, body = ask(port, f"/sse?lines=2000&batch={batch}")
    *events, rest = body.decode().split("\n\n")
    assert rest == ""
    heads = [event.rsplit("data: ", 1)[0] for event in events]
    assert heads == [f"id: {n}\nevent: chunk\n" for n in range(1, 2001)]
    assert json.loads(events[-1].rsplit("data: ", 1)[1])["n"] == 2000


def test_a_rate_is_a_schedule(port: int) -> None:
    """Lines at 100/s are due every 10 ms, and none is sent before."""
    with closing(asked(port, "/ndjson?lines=31&rate=100")) as connection:
        due, late = [], []
        while len(due) < 31:  # one line is one write, but the reader may be late
            received = connection.recv(65536)
            now = time.monotonic_ns()
            times = [int(t) for t in re.findall(rb'"t":(\d+)', received)]
            due += times
            late += [now - t for t in times]
    assert [t - due[0] for t in due] == [10_000_000 * n for n in range(31)]
    assert min(late) >= 0


def test_a_gate_holds_its_streams_till_it_is_opened(port: int) -> None:
    """The head comes at once and no line; the opener learns how many waited; both go on."""
    streams = [asked(port, "/ndjson?lines=3&gate=both") for _ in range(2)]
    other = asked(port, "/ndjson?lines=3&gate=other")
    assert all(b" 200 OK" in head_of(stream) for stream in (*streams, other))
    assert is_silent(streams[0])
    assert ask(port, "/open/both") == (200, b"opened 2\n")
    assert all(b'"n":1,' in stream.recv(65536) for stream in streams)
    assert is_silent(other)
    for stream in (*streams, other):
        stream.close()


def test_streams_of_a_rate_that_go_on_together_take_turns(port: int) -> None:
    """Four streams of 10/s begin 25 ms after each other, and keep to that."""
    streams = [asked(port, "/ndjson?lines=2&rate=10&gate=turns") for _ in range(4)]
    for stream in streams:
        head_of(stream)
    assert ask(port, "/open/turns") == (200, b"opened 4\n")
    firsts = sorted(int(re.findall(rb'"t":(\d+)', s.recv(65536))[0]) for s in streams)
    assert [t - firsts[0] for t in firsts] == [0, 25_000_000, 50_000_000, 75_000_000]
    for stream in streams:
        stream.close()


def test_who_has_left_no_longer_waits(port: int) -> None:
    """A gate counts those that are there: one left, one stays, and without lines it just ends."""
    gone, there = (asked(port, "/sse?lines=0&gate=empty") for _ in range(2))
    head_of(gone)
    head_of(there)
    gone.close()
    time.sleep(0.1)
    assert ask(port, "/open/empty") == (200, b"opened 1\n")
    assert there.recv(100) == b"0\r\n\r\n"
    there.close()
    assert ask(port, "/open/empty") == (200, b"opened 0\n")


def test_who_reads_slowly_gets_all(port: int) -> None:
    """A stream of 18 MB stops where its reader does, others are served, and nothing is lost."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)) as connection:
        connection.request("GET", "/ndjson?lines=100000")
        response = connection.getresponse()
        time.sleep(0.2)
        assert ask(port, "/ready")[0] == 200
        assert [line["n"] for line in lines_of(response.read())] == list(range(1, 100001))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404),
        ("/delay/", 400),
        ("/delay/-1", 400),
        ("/ndjson", 400),
        ("/ndjson?lines=many", 400),
        ("/ndjson?lines=1&rate=0", 400),
        ("/ndjson?lines=1&batch=1", 400),
        ("/sse?lines=1&batch=2", 400),
        ("/sse?lines=1&speed=3", 400),
    ],
)
def test_what_it_does_not_know_it_refuses(port: int, path: str, status: int) -> None:
    """An option that is wrong or unknown must not pass for another measurement."""
    assert ask(port, path)[0] == status


def test_other_methods_are_refused(port: int) -> None:
    """It takes no bodies."""
    assert ask(port, "/ready", method="POST")[0] == 405


def test_it_ends_with_its_stdin() -> None:
    """The harness's end is its end too, whatever streams are open."""
    with upstream_process() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with closing(asked(int(process.stdout.readline()), "/ndjson?lines=0&gate=a")) as stream:
            head_of(stream)
            process.stdin.close()
            assert process.wait(TIMEOUT) == 0


def test_an_argument_is_refused() -> None:
    """It has no options, and says so with status 2."""
    command = (program("upstream"), "--port=1")
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 2
    assert "--port=1" in done.stderr
