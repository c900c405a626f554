"""Test upstreams that answer whole: JSON and text, right and wrong, statuses and redirects.

Each says in its docstring what its query takes. They keep the rules of HTTP and leave the
connection open for the next request.
"""

import asyncio
import json
import time

from tests.upstream_exchange import Exchange, Header, Paths

answers = Paths()

BIG = "123456789012345678901234567890"
HUGE = "7" * 5000
BIGINT_JSON = f'{{"z":1,"big":{BIG},"huge":{HUGE},"a":1,"m":2,"a":3}}'
"""What `/bigint` answers: integers of 30 and of 5,000 digits, keys out of order, one twice."""

WRONG_UTF8 = b'"caf\xe9"'
"""What `/wrong-utf8` answers: Latin-1, whatever the header says."""


@answers.at("/json")
async def json_value(exchange: Exchange) -> None:
    """`?delay=` seconds, `?value=` a string: `n` counts the calls, `monotonic` is taken last."""
    await asyncio.sleep(exchange.seconds("delay"))
    value = exchange.text("value") if "value" in exchange.request.query else None
    facts = {"n": exchange.call, "value": value, "monotonic": time.monotonic()}
    await exchange.answer_json(facts)


@answers.at("/echo")
async def echo(exchange: Exchange) -> None:
    """Answer the request itself; any path below it is taken as well."""
    request = exchange.request
    await exchange.answer_json(
        {
            "method": request.method,
            "target": request.target,
            "headers": request.headers,
            "body": request.body.decode(errors="backslashreplace"),
        }
    )


@answers.at("/status")
async def status(exchange: Exchange) -> None:
    """`/status/{code}`, `?retry_after=` a header's value, `?delay=` seconds."""
    await asyncio.sleep(exchange.seconds("delay"))
    code = int(exchange.rest)
    await exchange.answer_json({"status": code}, status=code, headers=_retry_after(exchange))


@answers.at("/flaky")
async def flaky(exchange: Exchange) -> None:
    """`/flaky/{key}`: the first `?fail=1` calls get `?code=503`, or hang up for code 0."""
    code = exchange.integer("code", 503)
    if exchange.call > exchange.integer("fail", 1):
        await exchange.answer_json({"n": exchange.call, "monotonic": time.monotonic()})
    elif code:
        await exchange.answer_json({}, status=code, headers=_retry_after(exchange))


def _retry_after(exchange: Exchange) -> list[Header]:
    value = exchange.text("retry_after")
    return [("Retry-After", value)] if value else []


@answers.at("/empty")
async def empty(exchange: Exchange) -> None:
    """204 without a body."""
    await exchange.answer(b"", status=204)


@answers.at("/set-cookie")
async def set_cookie(exchange: Exchange) -> None:
    """Set a cookie, which must not come back."""
    await exchange.answer_json({}, headers=[("Set-Cookie", "upstream=remembers; Path=/")])


# ---------------------------------------------------------------- JSON at the edge


@answers.at("/json-raw")
async def json_raw(exchange: Exchange) -> None:
    """`?text=` as it is, as `?type=application/json`."""
    content_type = exchange.text("type", "application/json")
    await exchange.answer(exchange.text("text").encode(), content_type=content_type)


@answers.at("/invalid-json")
async def invalid_json(exchange: Exchange) -> None:
    """Stops in the middle of an object."""
    await exchange.answer(b'{"a": [1, 2')


@answers.at("/bigint")
async def bigint(exchange: Exchange) -> None:
    """`BIGINT_JSON`."""
    await exchange.answer(BIGINT_JSON.encode())


@answers.at("/nan")
async def nan(exchange: Exchange) -> None:
    """`?value=NaN`, or Infinity, -Infinity, 1e999."""
    await exchange.answer(f'{{"value": {exchange.text("value", "NaN")}}}'.encode())


@answers.at("/surrogate")
async def surrogate(exchange: Exchange) -> None:
    """A string that is half a surrogate pair, escaped."""
    await exchange.answer(json.dumps({"value": "\ud800"}).encode())


# --------------------------------------------------------------------------- text


@answers.at("/wrong-utf8")
async def wrong_utf8(exchange: Exchange) -> None:
    """`WRONG_UTF8` as `?type=text/plain; charset=utf-8`."""
    content_type = exchange.text("type", "text/plain; charset=utf-8")
    await exchange.answer(WRONG_UTF8, content_type=content_type)


@answers.at("/latin1")
async def latin1(exchange: Exchange) -> None:
    """`?value=café` in Latin-1, declared so."""
    text = exchange.text("value", "café")
    await exchange.answer(text.encode("latin-1"), content_type="text/plain; charset=iso-8859-1")


# ---------------------------------------------------------------------- redirects


@answers.at("/redirect")
async def redirect(exchange: Exchange) -> None:
    """To `?to=/json` with `?code=302`; `to` empty: without a Location."""
    to = exchange.text("to", "/json")
    headers = [("Location", to)] if to else []
    await exchange.answer_json({}, status=exchange.integer("code", 302), headers=headers)


@answers.at("/redirect-chain")
async def redirect_chain(exchange: Exchange) -> None:
    """`/redirect-chain/{n}`: n redirects, one after the other, then JSON."""
    left = int(exchange.rest)
    if not left:
        return await json_value(exchange)
    headers = [("Location", f"/redirect-chain/{left - 1}")]
    return await exchange.answer_json({}, status=302, headers=headers)


@answers.at("/redirect-loop")
async def redirect_loop(exchange: Exchange) -> None:
    """To itself."""
    await exchange.answer_json({}, status=302, headers=[("Location", "/redirect-loop")])
