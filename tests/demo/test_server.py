"""The demo upstreams over real sockets: every route, their times, their end."""

import asyncio
import itertools
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator

import aiohttp
import httpx
import pytest

from streaming.demo.routes import (
    MAX_QUESTION_CHARS,
    NEWS_DELAY,
    TICK_INTERVAL,
    TICKS,
    WEATHER_DELAY,
)
from streaming.demo.server import DemoUpstreams


@pytest.fixture
async def demo() -> AsyncIterator[DemoUpstreams]:
    async with DemoUpstreams() as upstreams:
        yield upstreams


@pytest.fixture
async def client(demo: DemoUpstreams) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(demo.base_url) as session:
        yield session


async def get(client: aiohttp.ClientSession, path: str) -> tuple[int, dict]:
    async with client.get(path) as response:
        return response.status, await response.json()


async def arrivals(response: aiohttp.ClientResponse) -> list[tuple[float, bytes]]:
    """The lines that are not empty, each with the time of its arrival."""
    return [(time.monotonic(), line.strip()) async for line in response.content if line.strip()]


# ------------------------------------------------------------------ whole answers


async def test_weather_is_of_the_city_and_stamped_as_written(client):
    """The answer names the city, and the stamp lies between the delay and the arrival."""
    asked = time.monotonic()
    status, body = await get(client, "/weather?city=Z%C3%BCrich")
    assert (status, body["city"]) == (200, "Zürich")
    assert asked + WEATHER_DELAY * 0.99 <= body["monotonic"] <= time.monotonic()


async def test_weather_is_the_same_on_every_call(client):
    """A demonstration can be repeated."""
    first, second = [(await get(client, "/weather?city=Oslo"))[1] for _ in range(2)]
    assert (first["celsius"], first["sky"]) == (second["celsius"], second["sky"])


@pytest.mark.parametrize("city", ["", "%20", "x" * 81])
async def test_weather_refuses_a_city_out_of_bounds(client, city):
    """An empty, blank or too long city is 400, with the reason as JSON."""
    status, body = await get(client, f"/weather?city={city}")
    assert status == 400
    assert body["error"] == "city must have 1 to 80 characters"


async def test_news_is_slow(client):
    """The headlines come after their delay."""
    asked = time.monotonic()
    status, body = await get(client, "/news")
    assert status == 200
    assert body["headlines"]
    assert body["monotonic"] - asked >= NEWS_DELAY * 0.99


async def rates_turns(demo: DemoUpstreams, *, calls: int) -> list[int | str]:
    # By httpx, as aiohttp's client asks again by itself where a server hung up.
    turns: list[int | str] = []
    async with httpx.AsyncClient(base_url=demo.base_url, trust_env=False) as client:
        for _ in range(calls):
            try:
                turns.append((await client.get("/rates")).status_code)
            except (httpx.NetworkError, httpx.RemoteProtocolError):
                turns.append("hung up")
    return turns


async def test_rates_fail_in_turn_by_a_status_and_by_hanging_up(demo):
    """Every second call is answered, and each kind of failure has its turn, again and again."""
    assert await rates_turns(demo, calls=6) == [503, 200, "hung up", 200, 503, 200]


async def test_rates_that_are_unavailable_may_be_asked_again_at_once(client):
    """The 503 says that no wait is needed."""
    async with client.get("/rates") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "0")


async def test_rates_are_counted_for_each_server_alone(demo):
    """A second server begins with its own first turn."""
    await rates_turns(demo, calls=1)
    async with DemoUpstreams() as other:
        assert await rates_turns(other, calls=1) == [503]


async def test_broken_is_broken(client):
    """The answer is 500, with a reason."""
    status, body = await get(client, "/broken")
    assert status == 500
    assert body["error"]


async def test_delay_waits_for_the_milliseconds_asked(client):
    """Two delays asked together end in the order of their length."""
    bodies = await asyncio.gather(get(client, "/delay/200"), get(client, "/delay/100"))
    (_, slow), (_, fast) = bodies
    assert (slow["ms"], fast["ms"]) == (200, 100)
    assert slow["monotonic"] - fast["monotonic"] > 0.05


@pytest.mark.parametrize(("ms", "status"), [("60001", 400), ("-1", 404), ("soon", 404)])
async def test_delay_is_bounded(client, ms, status):
    """A delay over the bound is 400; what is not a number of milliseconds is no route."""
    async with client.get(f"/delay/{ms}") as response:
        assert response.status == status


@pytest.mark.parametrize("path", ["/weather", "/tokens", "/ticks"])
async def test_head_is_not_answered(client, path):
    """HEAD is 405 rather than a head with the pieces of a stream behind it."""
    async with client.head(path) as response:
        assert response.status == 405


# ------------------------------------------------------------------------ streams


def completion_body(content: object) -> dict:
    return {"messages": [{"role": "user", "content": content}], "stream": True}


async def test_tokens_are_a_chat_completion_stream(client):
    """The role comes first, then words, then the reason for the end, then [DONE]."""
    async with client.post("/tokens", json=completion_body("Why?")) as response:
        assert response.content_type == "text/event-stream"
        data = [line.removeprefix(b"data: ") for _, line in await arrivals(response)]
    assert data.pop() == b"[DONE]"
    chunks = [json.loads(piece) for piece in data]
    assert {(chunk["id"], chunk["object"]) for chunk in chunks} == {
        (chunks[0]["id"], "chat.completion.chunk")
    }
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert "'Why?'" in "".join(choice["delta"].get("content", "") for choice in choices)
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + ["stop"]


async def test_tokens_arrive_one_at_a_time(client):
    """Each word arrives on its own, soon after the one before, never in a heap at the end."""
    async with client.get("/tokens", params={"question": "Why?"}) as response:
        times = [at for at, _ in await arrivals(response)]
    gaps = [after - before for before, after in itertools.pairwise(times[:-2])]
    assert len(gaps) > 20
    assert sum(gap > 0.03 for gap in gaps) > len(gaps) / 2


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"{}", b'{"messages": []}', b'{"messages": [1]}', b"[" * 60_000, b"\xff"],
)
async def test_tokens_refuse_a_body_without_messages(client, body):
    """What is not a conversation is 400, however broken it is."""
    async with client.post("/tokens", data=body) as response:
        assert response.status == 400


@pytest.mark.parametrize("content", ["", 7, None, ["x"], "x" * (MAX_QUESTION_CHARS + 1)])
async def test_tokens_refuse_a_question_out_of_bounds(client, content):
    """A question is a string with a length; everything else is 400."""
    async with client.post("/tokens", json=completion_body(content)) as response:
        assert response.status == 400


async def test_tokens_refuse_a_huge_body(client):
    """A body over the bound is 413."""
    async with client.post("/tokens", data=b" " * 70_000) as response:
        assert response.status == 413


async def test_ticks_are_lines_of_json_one_at_a_time(client):
    """Each line is read within a moment of being written, and all of them come."""
    async with client.get("/ticks") as response:
        assert response.content_type == "application/x-ndjson"
        lines = [(at, json.loads(line)) for at, line in await arrivals(response)]
    assert [tick["n"] for _, tick in lines] == list(range(1, TICKS + 1))
    # All at the end would have the first wait for the nine others.
    assert max(at - tick["monotonic"] for at, tick in lines) < TICK_INTERVAL * TICKS / 2
    stamps = [tick["monotonic"] for _, tick in lines]
    assert min(b - a for a, b in itertools.pairwise(stamps)) >= TICK_INTERVAL * 0.99


# ------------------------------------------------------------------------- the end


async def test_open_streams_are_cut_at_once():
    """Leaving the block does not wait for a stream to end, and its reader sees it cut."""
    async with aiohttp.ClientSession() as client:
        async with DemoUpstreams() as demo:
            response = await client.get(f"{demo.base_url}/tokens")
            await response.content.readline()
            left = time.monotonic()
        assert time.monotonic() - left < 1.0
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_the_port_is_free_afterwards():
    """A port that was left can be taken again, by its number."""
    async with DemoUpstreams() as demo:
        port = demo.port
    async with DemoUpstreams(port=port) as again:
        assert again.base_url == f"http://127.0.0.1:{port}"


async def test_a_taken_port_is_an_error():
    """A second server on the same port fails as it is entered."""
    async with DemoUpstreams() as demo:
        with pytest.raises(OSError, match="address already in use"):
            async with DemoUpstreams(port=demo.port):
                pass


async def test_a_stream_ends_with_its_client(demo, caplog):
    """A client that leaves in the middle is no error for the server, and no noise in the log."""
    async with aiohttp.ClientSession(demo.base_url) as client:
        response = await client.get("/ticks")
        await response.content.readline()
        response.close()
    await asyncio.sleep(0.3)
    assert not caplog.records


# --------------------------------------------------------------------- the command


async def command(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streaming.demo", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_runs_until_a_signal(number):
    """One line with the address; at the signal open streams are cut and the status is 0."""
    process = await command("--port", "0")
    address = (await process.stdout.readline()).decode().split()[-1]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
    async with aiohttp.ClientSession(address) as client:
        response = await client.get("/ticks")
        await response.content.readline()
        process.send_signal(number)
        async with asyncio.timeout(10):
            assert await process.communicate() == (b"", b"")
    assert process.returncode == 0


async def test_the_command_says_why_it_cannot_listen(demo):
    """A taken port ends it with a sentence and status 1, without a traceback."""
    process = await command("--port", str(demo.port))
    output, errors = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    assert errors.startswith(f"Error: cannot listen on 127.0.0.1, port {demo.port}: ".encode())


async def test_the_command_refuses_an_impossible_port():
    """A port beyond the range is bad use: status 2."""
    process = await command("--port", "65536")
    await process.communicate()
    assert process.returncode == 2
