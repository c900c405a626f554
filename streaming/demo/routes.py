"""What the demo upstreams answer: fast, slow, flaky, broken, and three kinds of stream.

Made up, and the same on every call: no randomness, so that a demonstration can be repeated. Every
JSON answer carries `monotonic`, seconds of CLOCK_MONOTONIC as it is written; on Linux that clock is
shared by all processes, so whoever receives the answer can say how long it was on its way.
"""

import asyncio
import itertools
import json
import re
import secrets
import time
import zlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from streaming.demo.http import Answer, Handler, Request

WEATHER_DELAY = 0.3
NEWS_DELAY = 1.5
RATES_DELAY = 0.2
TOKEN_INTERVAL = 0.06
TICK_INTERVAL = 0.2
TICKS = 10

MAX_CITY_CHARS = 80
"""Characters of `city`; a longer one is refused with 400."""
MAX_QUESTION_CHARS = 1000
"""Characters of a question; a longer one is refused with 400."""
MAX_REQUEST_BYTES = 65536
"""Bytes of a request's body; a longer one is refused with 413."""
MAX_DELAY_MS = 60_000
"""Milliseconds that `/delay/{ms}` waits at most; a longer one is refused with 400."""

_SKIES = ("clear", "some clouds", "overcast", "light rain", "thunder", "fog")
_HEADLINES = (
    "Slow service answers last, again",
    "Four of five upstreams agree: the fifth is broken",
    "Reader leaves the page; nobody keeps working for her",
)
_ANSWER = (
    "Each piece of this answer is sent the moment it is made, and whoever reads along sees it"
    " grow. If the connection breaks, it goes on after the last piece that arrived."
)


_DELAY = re.compile(r"/delay/([0-9]{1,9})")


@dataclass
class Refused(Exception):
    """A request that is answered with a status and the reason."""

    status: int
    reason: str


def routes() -> Handler:
    """Make what answers the requests of one server, with counters of its own."""
    by_path: dict[str, Handler] = {
        "/weather": weather,
        "/news": news,
        "/rates": _FlakyRates().answer,
        "/broken": broken,
        "/tokens": tokens,
        "/ticks": ticks,
    }

    async def answer(request: Request) -> Answer | None:
        handler = delay if _DELAY.fullmatch(request.path) else by_path.get(request.path)
        try:
            if handler is None:
                raise Refused(404, "there is no such upstream")
            _check(request, methods=("GET", "POST") if handler is tokens else ("GET",))
            return await handler(request)
        except Refused as refused:
            return _answer(status=refused.status, error=refused.reason)

    return answer


def _check(request: Request, *, methods: tuple[str, ...]) -> None:
    if request.method not in methods:
        raise Refused(405, f"expected {' or '.join(methods)}")
    if len(request.body) > MAX_REQUEST_BYTES:
        raise Refused(413, f"the body must have at most {MAX_REQUEST_BYTES} bytes")


# ------------------------------------------------------------------ whole answers


async def weather(request: Request) -> Answer:
    """Answer the weather of `?city=`, which depends on its name alone."""
    city = _bounded("city", request.query.get("city", "Paris"), max_chars=MAX_CITY_CHARS)
    await asyncio.sleep(WEATHER_DELAY)
    seed = zlib.crc32(city.casefold().encode())
    return _answer(city=city, celsius=seed % 350 / 10, sky=_SKIES[seed % len(_SKIES)])


async def news(request: Request) -> Answer:
    """Answer the headlines, slowly."""
    await asyncio.sleep(NEWS_DELAY)
    return _answer(headlines=_HEADLINES)


async def broken(request: Request) -> Answer:
    """Answer 500, always."""
    return _answer(status=500, error="this upstream is broken, on purpose")


async def delay(request: Request) -> Answer:
    """Answer after the milliseconds that the path names."""
    ms = int(request.path.rpartition("/")[2])
    if ms > MAX_DELAY_MS:
        raise Refused(400, f"ms must be at most {MAX_DELAY_MS}")
    await asyncio.sleep(ms / 1000)
    return _answer(ms=ms)


class _FlakyRates:
    """Rates that take two tries: the first fails, in turn by a 503 and by hanging up.

    The calls are counted for all callers together, so one caller alone always sees its first try
    fail and its second succeed; of several at once, one may fail more often.
    """

    def __init__(self) -> None:
        self._turns = itertools.cycle(("unavailable", "answer", "hang up", "answer"))

    async def answer(self, request: Request) -> Answer | None:
        turn = next(self._turns)
        await asyncio.sleep(RATES_DELAY)
        if turn == "unavailable":
            return _answer(status=503, headers={"Retry-After": "0"}, error="try again")
        if turn == "hang up":
            return None
        return _answer(base="EUR", rates={"USD": 1.0842, "GBP": 0.8437, "JPY": 162.31})


def _answer(*, status: int = 200, headers: dict[str, str] | None = None, **facts: Any) -> Answer:
    body = json.dumps({**facts, "monotonic": time.monotonic()}).encode()
    return Answer(status=status, content_type="application/json", body=body, headers=headers or {})


# ------------------------------------------------------------------------ streams


async def tokens(request: Request) -> Answer:
    """Stream a chat completion in the form of OpenAI's interface, whether asked to or not.

    GET takes `?question=`, POST the last of `messages`.
    """
    question = _posted_question(request) if request.method == "POST" else _asked(request)
    return _stream(_completion(question), content_type="text/event-stream")


async def ticks(request: Request) -> Answer:
    """Stream a price as lines of JSON."""
    return _stream(_prices(), content_type="application/x-ndjson")


def _stream(pieces: AsyncGenerator[bytes, None], *, content_type: str) -> Answer:
    return Answer(content_type=content_type, body=pieces, headers={"Cache-Control": "no-cache"})


async def _prices() -> AsyncGenerator[bytes, None]:
    for n in range(1, TICKS + 1):
        if n > 1:
            await asyncio.sleep(TICK_INTERVAL)
        tick = {"n": n, "price": round(100 + n * 7 % 5 / 4, 2), "monotonic": time.monotonic()}
        yield json.dumps(tick).encode() + b"\n"


async def _completion(question: str) -> AsyncGenerator[bytes, None]:
    whole = {
        "id": f"chatcmpl-{secrets.token_hex(8)}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": "demo",
    }
    yield _piece(whole, {"role": "assistant", "content": ""})
    for word in f"You asked: {question[:60]!r}. {_ANSWER}".split():
        await asyncio.sleep(TOKEN_INTERVAL)
        yield _piece(whole, {"content": f"{word} "})
    yield _piece(whole, {}, finish_reason="stop")
    yield b"data: [DONE]\n\n"


def _piece(
    whole: dict[str, Any], delta: dict[str, str], *, finish_reason: str | None = None
) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: " + json.dumps({**whole, "choices": [choice]}).encode() + b"\n\n"


# -------------------------------------------------------------------------- input


def _asked(request: Request) -> str:
    question = request.query.get("question", "What is a stream?")
    return _bounded("question", question, max_chars=MAX_QUESTION_CHARS)


def _posted_question(request: Request) -> str:
    try:
        content = json.loads(request.body)["messages"][-1]["content"]
    except (ValueError, LookupError, TypeError, RecursionError) as exc:
        raise Refused(400, "expected JSON with messages, the last with its content") from exc
    if not isinstance(content, str):
        raise Refused(400, "content must be a string")
    return _bounded("content", content, max_chars=MAX_QUESTION_CHARS)


def _bounded(name: str, value: str, *, max_chars: int) -> str:
    if not 0 < len(value.strip()) <= len(value) <= max_chars:
        raise Refused(400, f"{name} must have 1 to {max_chars} characters")
    return value
