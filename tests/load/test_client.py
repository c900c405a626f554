"""The benchmarks' client: it counts what a server sends, however cut, and misses no fault."""

import asyncio
import json
import subprocess
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator

import pytest

from tests.load.programs import (
    TIMEOUT,
    Figures,
    figures,
    linux_only,
    program,
    run_client,
    upstream,
)
from tests.scripted_upstream import CHUNKED, OK, Behaviour, say, serving

pytestmark = linux_only

HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
SECONDS = ("--seconds", "10")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with upstream() as port:
        yield port


async def measured(behave: Behaviour, mode: str, *args: str, connections: int = 1) -> Figures:
    """What the client finds when a server behaves so."""
    program("client")
    async with serving(behave) as url:
        port = int(url.rsplit(":", 1)[1])
        end = await asyncio.to_thread(
            figures, mode, port, "/", *SECONDS, *args, connections=connections
        )
        await asyncio.sleep(0.05)  # a client may leave while the server still takes it in
    return end


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(**data: float) -> bytes:
    return b"event: result\ndata: %b\n\n" % json.dumps(data).encode()


def answering(*parts: bytes | float) -> Behaviour:
    """Answer each request of a connection with these parts; a number is a pause in seconds."""

    async def behave(reader: StreamReader, writer: StreamWriter) -> None:
        while await reader.readuntil(HEAD_END):
            for part in parts:
                if isinstance(part, bytes):
                    writer.write(part)
                    await writer.drain()
                else:
                    await asyncio.sleep(part)

    return behave


# ---------------------------------------------------------------- counting


@pytest.mark.parametrize("batch", [0, 1])
def test_every_event_is_counted(port: int, batch: int) -> None:
    """Three streams of 20,000 events, in a write for each or many in one, are all there."""
    path = f"/sse?lines=20000&batch={batch}"
    end = figures("flat", port, path, *SECONDS, "--events", "20000", connections=3)
    assert (end["events"], end["finished"], end["complete"]) == (60000, 3, 3)
    assert end["errors"] == 0
    assert end["rate"] > 0


async def test_marks_are_found_across_all_borders() -> None:
    """A response of which each byte comes alone, and each second one in a chunk of its own."""
    body = b'"t":"t""t": 12,"t\n\n"t":1}'
    chunks = b"".join(chunk(body[at : at + 2]) for at in range(0, len(body), 2))
    response = CHUNKED + chunks + LAST_CHUNK
    parts = [part for byte in response for part in (bytes([byte]), 0.002)]
    end = await measured(answering(*parts), "flat", "--events", "3")
    assert (end["events"], end["complete"], end["errors"]) == (3, 1, 0)


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (CHUNKED + chunk(b'"t":1') * 2, "closed before the end"),
        (OK + b'Content-Length: 11\r\n\r\n"t":1"t":1', "closed before the end"),
        (CHUNKED + chunk(b'"t":1') + LAST_CHUNK, "1 events instead of 2"),
        (CHUNKED + chunk(b'"t":1') * 3 + LAST_CHUNK, "3 events instead of 2"),
        (CHUNKED + b'4\r\n"t":1\r\n', "not a response"),
        (CHUNKED + chunk(b'"t":1') * 2 + LAST_CHUNK + b"more", "bytes behind"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "status 503"),
        (b"SSH-2.0\r\n", "not a response"),
    ],
)
async def test_a_wrong_response_is_an_error(response: bytes, message: str) -> None:
    """What is cut short, miscounted, no success or no HTTP is never complete."""
    end = await measured(say(response), "flat", "--events", "2")
    assert (end["complete"], end["errors"]) == (0, 1)
    assert message in end["messages"][0]


@pytest.mark.parametrize(
    "response",
    [
        OK + b'\r\n"t":1',
        b'HTTP/1.0 200 OK\r\n\r\n"t":1',
        OK + b'content-length: 5\r\n\r\n"t":1',
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + CHUNKED + b'0005;a=b\r\n"t":1\r\n0\r\nA: b\r\n\r\n',
    ],
)
async def test_a_response_may_end_in_each_way(response: bytes) -> None:
    """By the close, by its length, or with a last chunk that has trailers."""
    end = await measured(say(response), "flat", "--events", "1")
    assert (end["complete"], end["errors"]) == (1, 0)


# ---------------------------------------------------------------- fanout


async def test_latencies_are_those_of_the_first_and_the_last_event() -> None:
    """Events come after 50 and 150 ms, and the first one's data is a second old by its own word."""
    monotonic = time.monotonic()
    parts = (CHUNKED, 0.05, chunk(event(monotonic=monotonic)), 0.1, chunk(event()), LAST_CHUNK)
    end = await measured(answering(*parts), "fanout", "--markers", "2", "--requests", "3")
    assert (end["requests"], end["errors"]) == (3, 0)
    assert 50 <= end["first_ms"]["p50"] < 140
    assert 150 <= end["last_ms"]["p50"] < 1000
    age = 1000 * (time.monotonic() - monotonic)
    assert 100 < end["added_ms"]["p50"] <= end["added_ms"]["max"] < age


async def test_the_age_is_looked_for_in_the_first_event_alone() -> None:
    """Where that has no "monotonic", another event's is not taken for it."""
    response = CHUNKED + chunk(event() + event(monotonic=1.0)) + LAST_CHUNK
    end = await measured(answering(response), "fanout", "--markers", "2", "--requests", "3")
    assert (end["requests"], end["errors"], end["added_ms"]) == (3, 0, None)


async def test_a_closed_connection_is_opened_anew() -> None:
    """A server that closes after each response gets the next request on another connection."""
    end = await measured(
        say(OK + b"\r\n" + event()), "fanout", "--markers", "1", "--requests", "6", connections=2
    )
    assert (end["requests"], end["errors"]) == (6, 0)


async def test_a_request_that_failed_is_no_figure() -> None:
    """Each second response is cut short, and the next request comes on another connection."""

    async def behave(reader: StreamReader, writer: StreamWriter) -> None:
        for end in (LAST_CHUNK, b""):
            await reader.readuntil(HEAD_END)
            writer.write(CHUNKED + chunk(event()) + end)

    end = await measured(behave, "fanout", "--markers", "1", "--requests", "7")
    assert (end["requests"], end["errors"]) == (3, 4)


def test_the_window_ends_in_time(port: int) -> None:
    """Requests that are on their way at its end do not count, nor do those of the warm-up."""
    mark = ("--mark", '"delay_ms":', "--markers", "1")
    end = figures("fanout", port, "/delay/350", "--seconds", "1", *mark, connections=5)
    assert (end["requests"], end["errors"]) == (10, 0)
    assert end["rate"] == pytest.approx(10 / end["seconds"], abs=0.001)
    assert 0.99 < end["seconds"] < 1.35


def test_the_window_begins_when_it_is_told_so(port: int) -> None:
    """After "ready" no line is opened to the streams before the harness has said so."""
    target = ("--port", str(port), "--path", "/sse?lines=5&gate=told", "--connections", "2")
    trigger = ("--trigger", "/open/told", "--events", "5", *SECONDS)
    command = (program("client"), "broadcast", *target, *trigger)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"phase": "ready", "open": 2}
        told_ns = time.monotonic_ns()
        time.sleep(0.3)
        out, _ = process.communicate(b"\n", timeout=TIMEOUT)
    end = json.loads(out)
    assert (end["deliveries"], end["errors"]) == (10, 0)
    assert end["seconds"] < (time.monotonic_ns() - told_ns) / 1e9 - 0.3


# ---------------------------------------------------------------- broadcast


def test_a_broadcast_reaches_all_streams(port: int) -> None:
    """Forty streams get a hundred events each, at 200/s and so in half a second, and in time."""
    path = "/sse?lines=100&rate=200&gate=wide"
    trigger = ("--trigger", "/open/wide", "--events", "100")
    end = figures("broadcast", port, path, *SECONDS, *trigger, connections=40)
    assert (end["deliveries"], end["delivered"], end["errors"]) == (4000, 1.0, 0)
    assert 0.49 < end["seconds"] < 3
    assert end["latency_ms"]["p50"] < 250


async def test_paths_are_taken_in_turn() -> None:
    """Five connections ask for three paths: the first two of them twice."""
    asked: list[bytes] = []

    async def behave(reader: StreamReader, writer: StreamWriter) -> None:
        asked.append((await reader.readuntil(HEAD_END)).split()[1])
        writer.write(CHUNKED + chunk(b'{"t":1}') + LAST_CHUNK)

    args = ("--path", "/runs/{}?a={}", "--paths", "3", "--events", "1")
    end = await measured(behave, "flat", *args, connections=5)
    assert (end["complete"], end["errors"]) == (5, 0)
    numbers = (b"0", b"0", b"1", b"1", b"2")
    assert sorted(asked) == [b"/runs/%b?a={}" % number for number in numbers]


async def test_a_stream_that_ends_too_soon_is_an_error() -> None:
    """Both streams get two of three events; one ends in order then, and one is cut."""
    streams = iter([LAST_CHUNK, b""])
    is_triggered = asyncio.Event()

    async def behave(reader: StreamReader, writer: StreamWriter) -> None:
        if b"/trigger" in await reader.readuntil(HEAD_END):
            is_triggered.set()
            writer.write(OK + b"Content-Length: 0\r\n\r\n")
            return
        writer.write(CHUNKED)
        await is_triggered.wait()
        writer.write(chunk(b'{"t":1}') * 2 + next(streams))

    args = ("--events", "3", "--trigger", "/trigger")
    end = await measured(behave, "broadcast", *args, connections=2)
    assert (end["deliveries"], end["errors"]) == (4, 2)
    assert end["delivered"] == pytest.approx(2 / 3, abs=1e-5)


@pytest.mark.parametrize("rate", [(), ("--publish-rate", "400")])
async def test_events_are_published_where_no_upstream_is_the_source(rate: tuple[str, ...]) -> None:
    """Each POST's body goes to all streams, which send no head before; four are under way."""
    streams = list[StreamWriter]()
    waiting = list[int]()

    async def behave(reader: StreamReader, writer: StreamWriter) -> None:
        if (await reader.readuntil(HEAD_END)).startswith(b"GET /"):
            streams.append(writer)
            await asyncio.Event().wait()
        for n in range(200):
            line = await reader.readuntil(b"}")
            waiting.append(int(bytes(reader._buffer).count(b"POST")))  # type: ignore[attr-defined]
            for stream in streams:
                stream.write((b"" if n else CHUNKED) + chunk(line[line.rindex(b"{") :]))
            writer.write(OK + b"Content-Length: 0\r\n\r\n")

    args = ("--events", "200", "--publish", "/pub", "--publish-depth", "4", "--no-head", *rate)
    end = await measured(behave, "broadcast", *args, connections=3)
    assert (end["deliveries"], end["delivered"], end["errors"]) == (600, 1.0, 0)
    assert max(waiting) < 4
    assert not rate or end["seconds"] > 0.49


# ---------------------------------------------------------------- idle and churn


async def test_idle_streams_are_held_and_those_that_go_are_counted() -> None:
    """Of three streams one ends within the second; each had been sent five bytes and its frame."""
    first = iter([True, False, False])

    async def behave(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(HEAD_END)
        writer.write(CHUNKED)
        await asyncio.sleep(0.5)
        writer.write(chunk(b": up\n"))
        await asyncio.sleep(0 if next(first) else TIMEOUT)

    end = await measured(behave, "idle", "--seconds", "1", connections=3)
    assert (end["open"], end["dropped"], end["errors"]) == (2, 1, 1)
    assert end["bytes"] == 3 * len(chunk(b": up\n"))


def test_a_thousand_streams_are_held(port: int) -> None:
    """They are opened by and by, and stay."""
    end = figures("idle", port, "/sse?lines=0&gate=held", "--seconds", "0.1", connections=1000)
    assert (end["open"], end["dropped"], end["errors"]) == (1000, 0, 0)


async def test_each_visit_is_a_connection() -> None:
    """Visitors leave at the mark, which comes after 20 ms, and come again at once."""
    connections = 0

    async def behave(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await answering(CHUNKED, 0.02, chunk(b"data: {}\n\n"))(reader, writer)

    end = await measured(behave, "churn", "--seconds", "0.5", connections=4)
    assert 0 < end["visits"] <= connections <= end["visits"] + 4
    assert end["errors"] == 0
    assert end["first_ms"]["p50"] >= 20


# ---------------------------------------------------------------- what cannot be measured

TARGET = ("--port", "1", "--path", "/", "--connections", "1", *SECONDS)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "nothing is none of"),
        (("flood", *TARGET), "flood is none of"),
        (("flat", *TARGET), "--events is missing"),
        (("idle", *TARGET, "--events", "1"), "no option --events"),
        (("idle", *TARGET, "--port", "0"), "--port takes a whole number from 1 to 65535"),
        (("idle", *TARGET, "--path", "x"), "--path takes a path"),
        (("idle", *TARGET, "--seconds", "nan"), "--seconds takes seconds"),
        (("idle", *TARGET, "--seconds"), "--seconds takes a value"),
        (("churn", *TARGET, "--mark", ""), "--mark takes a text"),
        (("broadcast", *TARGET, "--events", "1"), "either --trigger or --publish"),
    ],
)
def test_wrong_options_are_refused(args: tuple[str, ...], message: str) -> None:
    """The status is 2, and a sentence says what is wrong."""
    done = run_client(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_without_a_server_there_are_no_figures() -> None:
    """Where no connection can be opened, or no warm-up be answered, the status is 1."""
    for args in (("idle",), ("flat", "--events", "1"), ("fanout", "--markers", "1")):
        done = run_client(*args, *TARGET)
        assert (done.returncode, done.stdout) == (1, "")
        assert "Connection refused" in done.stderr


def test_visitors_of_no_server_give_up() -> None:
    """They would be refused without an end; after ten thousand errors the window is over."""
    done = run_client("churn", *TARGET)
    end = json.loads(done.stdout.splitlines()[1])
    assert (end["visits"], end["errors"]) == (0, 10000)
    assert end["messages"] == ["cannot connect: Connection refused"]
    assert end["seconds"] < 10
