"""The short way to a stream: taken by what is plain, and by nothing else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from streaming.asgi_gateway import ShortWay
from streaming.core.feed import Feed, Upstream
from streaming.core.settings import Settings
from streaming.engine.engine import Engine
from streaming.engine.loop_host import LoopHost
from tests.fan_out import PATIENCE
from tests.upstreams import Upstreams

PLAIN = (b"host", b"example.org:8000")


class Asked:
    """A server's side of one request, and whether the framework was asked."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.is_framework_asked = False

    async def framework(self, scope: Any, receive: Any, send: Any) -> None:
        self.is_framework_asked = True

    async def receive(self) -> Any:
        await asyncio.Event().wait()

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


@pytest.fixture
async def host(upstreams: Upstreams) -> AsyncIterator[LoopHost]:
    feed = Feed("one", upstreams={"a": Upstream(url=f"{upstreams.base_url}/json")})
    host = LoopHost(lambda: Engine(Settings(feeds={"one": feed})))
    yield host
    await host.aclose()


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    async with Upstreams() as upstreams:
        yield upstreams


async def ask(
    host: LoopHost,
    path: str,
    *,
    headers: tuple[tuple[bytes, bytes], ...] = (PLAIN,),
    query: bytes = b"",
    **more: Any,
) -> Asked:
    asked = Asked()
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query,
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": None,
        **more,
    }
    async with asyncio.timeout(PATIENCE):
        await ShortWay(asked.framework, host=host, settings=Settings())(
            scope, asked.receive, asked.send
        )
    return asked


async def test_a_stream_is_answered_without_the_framework(host: LoopHost) -> None:
    """With the head and the events that it would have sent."""
    asked = await ask(host, "/feeds/one")
    assert not asked.is_framework_asked
    assert asked.status == 200
    assert (b"content-type", b"text/event-stream") in asked.sent[0]["headers"]
    assert b"event: done" in asked.body
    assert asked.sent[-1]["more_body"] is False


async def test_a_refusal_is_answered_too(host: LoopHost) -> None:
    """As a problem document, whose length is said."""
    asked = await ask(host, "/feeds/none")
    assert asked.status == 404
    fields = dict(asked.sent[0]["headers"])
    assert fields[b"content-length"] == str(len(asked.body)).encode()


async def test_a_query_and_a_last_event_id_are_read(host: LoopHost) -> None:
    """The latter as UTF-8, though servers read header fields as Latin-1."""
    asked = await ask(host, "/feeds/one", query=b"format=ndjson")
    assert asked.body.startswith(b'{"event":"open"')
    headers = (PLAIN, (b"last-event-id", "ü".encode() * 150))
    assert (await ask(host, "/feeds/one", headers=headers)).status == 400


@pytest.mark.parametrize(
    "host_field", [b"", b"..", b"a..b", b".a", b"a b", b"x" * 64, b"[::1]", b"a:99999999"]
)
async def test_an_unusual_host_is_the_frameworks(host: LoopHost, host_field: bytes) -> None:
    """It knows which of them cannot be."""
    assert (await ask(host, "/feeds/one", headers=((b"host", host_field),))).is_framework_asked


@pytest.mark.parametrize(
    "path",
    ["/", "/feeds", "/feeds/", "/feeds/a/b", "/feeds/ü", "/feeds/a b", "/healthz", "//feeds/a"],
)
async def test_other_paths_are_the_frameworks(host: LoopHost, path: str) -> None:
    """And whatever could be one of these two in another form."""
    assert (await ask(host, path)).is_framework_asked


async def test_an_expectation_is_the_frameworks(host: LoopHost) -> None:
    """It has the server say 100 (Continue), and reads what comes."""
    headers = (PLAIN, (b"expect", b"100-continue"))
    assert (await ask(host, "/feeds/one", headers=headers)).is_framework_asked


@pytest.mark.parametrize("more", [{"method": "HEAD"}, {"method": "POST"}, {"root_path": "/x"}])
async def test_other_requests_are_the_frameworks(host: LoopHost, more: dict[str, str]) -> None:
    """A body is read there, and a prefix is taken off."""
    assert (await ask(host, "/feeds/one", **more)).is_framework_asked


async def test_a_fault_of_ours_is_a_problem_document(
    host: LoopHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of which nothing is told but that it happened; the log says where."""

    async def fail(*args: Any) -> None:
        raise RuntimeError("".join(("sec", "ret")))

    monkeypatch.setattr(LoopHost, "answer", fail)
    asked = await ask(host, "/feeds/one")
    assert asked.status == 500
    assert b"secret" not in asked.body
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text
