"""The demo's configuration calls what the demo's upstreams answer."""

import asyncio
import tomllib

import aiohttp

from streaming.demo import BASE_URL_VARIABLE, FEEDS_FILE
from streaming.demo.server import DemoUpstreams

FEEDS = tomllib.loads(FEEDS_FILE.read_text())["feeds"]
TYPES = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}


def test_the_feeds_of_the_demo():
    """One of each kind: a city's parts, an answer of tokens, and ten delays in a row."""
    assert list(FEEDS) == ["city", "answer", "delays"]
    assert [*FEEDS["city"]["upstreams"]] == ["weather", "news", "rates", "ticks", "broken"]
    delays = FEEDS["delays"]["upstreams"].values()
    assert [url["url"].rpartition("/")[2] for url in delays] == [f"{n}00" for n in range(1, 11)]


async def test_every_upstream_is_there():
    """Each method and path is taken, and each body is of the kind that it is read as."""
    declared = [upstream for feed in FEEDS.values() for upstream in feed["upstreams"].values()]
    async with DemoUpstreams() as demo, aiohttp.ClientSession() as client:
        answers = await asyncio.gather(*(ask(client, demo, upstream) for upstream in declared))
    assert [status for status, _ in answers if status in {400, 404, 405}] == []
    expected = [TYPES.get(upstream.get("read"), "application/json") for upstream in declared]
    assert [content_type for _, content_type in answers] == expected


async def ask(
    client: aiohttp.ClientSession, demo: DemoUpstreams, upstream: dict
) -> tuple[int, str]:
    url = upstream["url"].replace(f"${{{BASE_URL_VARIABLE}}}", demo.base_url)
    method = upstream.get("method", "GET")
    async with client.request(method, url, json=upstream.get("json")) as answer:
        return answer.status, answer.content_type
