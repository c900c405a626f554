"""Quart, where it has no answer of its own to what a server passes on."""

import asyncio
from typing import Any

import pytest

from streaming.quart_application import Application


def make_app() -> Application:
    app = Application(__name__)

    @app.get("/")
    async def root() -> str:
        return "root"

    @app.get("/feeds")
    async def feeds() -> str:
        return "feeds"

    return app


async def ask(path: str) -> tuple[int, bytes]:
    """Ask as a server does that passes any target on; return the status and the body."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"a")],
    }

    body = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(body, None) or await asyncio.Future()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await make_app()(scope, receive, send)  # type: ignore[arg-type]
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("", b"root"),
        ("*", b"root"),
        ("http://a", b"root"),
        ("http://a/feeds", b"feeds"),
        ("http://[bad/feeds", b"feeds"),
        ("http://[", b"root"),
    ],
)
async def test_a_target_that_is_no_path(path: str, answer: bytes) -> None:
    """The path in it is asked for, whatever the rest is; never is it an error here."""
    assert await ask(path) == (200, answer)


@pytest.mark.parametrize("path", ["nowhere", "/nowhere", "://x/y"])
async def test_a_target_that_is_nowhere(path: str) -> None:
    """What is no path and no URL is the root; else it is looked for."""
    status, _ = await ask(path)
    assert status == (200 if path == "nowhere" else 404)
