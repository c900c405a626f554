"""One upstream's attempts: what is tried again, what each time bounds, where a redirect leads."""

import asyncio
import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

import httpx
import pytest

from streaming.core.feed import Upstream
from streaming.engine.alarms import Alarms
from streaming.engine.transport import Transport
from streaming.engine.transport_httpx import HttpxTransport
from streaming.engine.upstream_call import CHUNKS_AT_ONCE, Outgoing
from tests.fan_out import Called, call, free_slots, until
from tests.fan_out import outgoing as carrying
from tests.scripted_upstream import CHUNKED, OK, say, serving
from tests.upstreams import Upstreams, closed_port, full_backlog

# --------------------------------------------------------------------- attempts


async def test_a_flaky_upstream_is_tried_until_it_answers(
    upstreams: Upstreams, outgoing: Outgoing
) -> None:
    """Each failed try is an `attempt` event with its facts, and the result counts them all."""
    url = upstreams.base_url + "/flaky/it?fail=2&code=502"
    called = await call(Upstream(url=url, backoff=0.0), outgoing)
    assert called.result is not None
    assert (called.result["attempts"], called.result["body"]["n"]) == (3, 3)
    attempts = called.data("attempt")
    assert [(a["attempt"], a["code"], a["status"]) for a in attempts] == [
        (1, "status", 502),
        (2, "status", 502),
    ]
    assert attempts[0].keys() == {
        *("upstream", "attempt", "code", "status", "elapsed", "retry_in"),
    }


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        ({}, 3),
        ({"method": "HEAD"}, 3),
        ({"method": "PUT"}, 3),
        ({"method": "DELETE"}, 3),
        ({"method": "POST"}, 1),
        ({"method": "PATCH"}, 1),
        ({"method": "POST", "idempotent": True}, 3),
        ({"method": "POST", "retries": 1}, 2),
        ({"retries": 0}, 1),
        ({"retries": 4}, 5),
    ],
)
async def test_retries_are_counted_by_method(
    upstreams: Upstreams, outgoing: Outgoing, options: dict[str, Any], calls: int
) -> None:
    """Two for what may be repeated, none for what may not, unless the configuration says more."""
    upstream = Upstream(url=upstreams.base_url + "/status/503", backoff=0.0, **options)
    called = await call(upstream, outgoing)
    assert called.code == "status"
    assert upstreams.calls["/status/503"] == called.facts["attempts"] == calls
    assert len(called.data("attempt")) == calls - 1


@pytest.mark.parametrize(
    ("target", "options", "code"),
    [
        ("/hangup", {}, "disconnected"),
        ("/reset", {}, "disconnected"),
        ("/hangup-in-body", {}, "disconnected"),
        ("/never", {"first_byte_timeout": 0.1}, "timeout"),
        ("/status/429", {}, "status"),
        ("/status/500", {"retry_statuses": (500,)}, "status"),
    ],
)
async def test_faults_that_may_pass_are_tried_again(
    upstreams: Upstreams, outgoing: Outgoing, target: str, options: dict[str, Any], code: str
) -> None:
    """A broken connection, also in a body that is read whole, no head in time, chosen statuses."""
    upstream = Upstream(url=upstreams.base_url + target, backoff=0.0, retries=1, **options)
    called = await call(upstream, outgoing)
    assert called.code == code
    assert [attempt["code"] for attempt in called.data("attempt")] == [code]
    assert upstreams.calls[target] == 2


@pytest.mark.parametrize(
    ("target", "options", "code"),
    [
        ("/head-then-stall", {"idle_timeout": 0.1}, "timeout"),
        ("/status/404", {}, "status"),
        ("/status/500", {}, "status"),
        ("/invalid-json", {}, "decode"),
        ("/large", {"read": "text", "max_bytes": 1000}, "too_large"),
        ("/not-http", {}, "protocol"),
    ],
)
async def test_faults_that_would_come_again_are_final(
    upstreams: Upstreams, outgoing: Outgoing, target: str, options: dict[str, Any], code: str
) -> None:
    """What the upstream has said is not asked for twice; nor is a body that stalls."""
    upstream = Upstream(url=upstreams.base_url + target, retries=5, **options)
    called = await call(upstream, outgoing)
    assert (called.code, called.events) == (code, [])
    assert upstreams.calls[target] == 1


async def test_a_refused_connection_is_tried_again(outgoing: Outgoing) -> None:
    """As many times as the upstream has retries."""
    upstream = Upstream(url=f"http://127.0.0.1:{closed_port()}/", backoff=0.0)
    called = await call(upstream, outgoing)
    assert (called.code, called.facts["attempts"]) == ("connect", 3)
    assert (called.facts["status"], called.facts["first_byte"]) == (None, None)


async def test_nothing_is_tried_again_after_a_chunk(
    upstreams: Upstreams, outgoing: Outgoing
) -> None:
    """A stream that breaks off after two events is given up, as they were passed on already."""
    url = upstreams.base_url + "/sse-cut?events=2"
    called = await call(Upstream(url=url, read="sse", retries=5), outgoing)
    assert (called.code, len(called.chunks)) == ("disconnected", 2)
    assert upstreams.calls["/sse-cut"] == 1


async def test_a_stream_that_breaks_before_its_first_chunk_is_tried_again(
    outgoing: Outgoing,
) -> None:
    """There is nothing yet that a viewer would see twice."""
    async with serving(say(CHUNKED + b"6\r\ndata: \r\n")) as url:
        called = await call(Upstream(url=url, read="sse", retries=2, backoff=0.0), outgoing)
    assert (called.code, called.facts["attempts"]) == ("disconnected", 3)


async def test_waits_have_a_ceiling_that_doubles(upstreams: Upstreams) -> None:
    """From `backoff` up to `max_backoff`, and a random part of that."""
    url = upstreams.base_url + "/status/503"
    upstream = Upstream(url=url, retries=4, backoff=0.02, max_backoff=0.05)
    async with carrying(random=lambda: 0.5) as outgoing:
        called = await call(upstream, outgoing)
    waits = [attempt["retry_in"] for attempt in called.data("attempt")]
    assert waits == [0.01, 0.02, 0.025, 0.025]


# ------------------------------------------------------------------ Retry-After


@pytest.mark.parametrize("retry_after", ["0", "Sun, 06 Nov 1994 08:49:37 GMT"])
async def test_retry_after_takes_the_place_of_the_backoff(
    upstreams: Upstreams, outgoing: Outgoing, retry_after: str
) -> None:
    """In seconds or as a date: a wait of an hour becomes none."""
    target = f"/flaky/it?retry_after={retry_after.replace(' ', '+')}"
    url = upstreams.base_url + target
    upstream = Upstream(url=url, backoff=3600.0, max_backoff=3600.0)
    called = await call(upstream, replace(outgoing, random=lambda: 1.0))
    assert called.result is not None
    assert [attempt["retry_in"] for attempt in called.data("attempt")] == [0.0]


async def test_retry_after_is_waited_for(upstreams: Upstreams, outgoing: Outgoing) -> None:
    """The upstream is left alone for as long as it asks."""
    url = upstreams.base_url + "/flaky/it?retry_after=1"
    called = await call(Upstream(url=url, backoff=0.0), outgoing)
    assert called.result is not None
    assert [attempt["retry_in"] for attempt in called.data("attempt")] == [1.0]
    assert called.result["elapsed"] >= 1.0


@pytest.mark.parametrize("options", [{}, {"timeout": 5.0}])
async def test_a_wait_beyond_what_is_left_gives_up_at_once(
    upstreams: Upstreams, outgoing: Outgoing, options: dict[str, Any]
) -> None:
    """Beyond the run's time or the upstream's own: waiting would only end in a timeout."""
    url = upstreams.base_url + "/status/503?retry_after=6"
    left = 5.0 if not options else 1000.0
    called = await call(Upstream(url=url, **options), outgoing, left=left)
    assert (called.code, called.events) == ("status", [])
    assert called.facts["elapsed"] < 4.0


# ------------------------------------------------------------------------- times


async def test_the_time_to_the_head_is_counted_anew_for_each_attempt(
    upstreams: Upstreams, outgoing: Outgoing
) -> None:
    """Three attempts may take three times as long; the sentence says what was waited for."""
    upstream = Upstream(
        url=upstreams.base_url + "/dripping-head", first_byte_timeout=0.2, backoff=0.0
    )
    called = await call(upstream, outgoing)
    assert str(called.error) == "waited 0.2 s for the head"
    assert called.facts["elapsed"] >= 0.6


async def test_the_time_to_connect_is_bounded(outgoing: Outgoing) -> None:
    """By `connect_timeout`, though the head might take longer."""
    with full_backlog() as port:
        upstream = Upstream(url=f"http://127.0.0.1:{port}/", connect_timeout=0.2, retries=0)
        called = await call(upstream, outgoing)
    assert str(called.error) == "waited 0.2 s for the connection"


async def test_a_body_may_drip_as_long_as_it_does_not_stall(
    upstreams: Upstreams, outgoing: Outgoing
) -> None:
    """`idle_timeout` is for each read; the upstream's `timeout` ends it."""
    url = upstreams.base_url + "/dripping-body?delay=0.05"
    upstream = Upstream(url=url, read="stream", idle_timeout=0.7, timeout=1.3)
    called = await call(upstream, outgoing)
    assert str(called.error) == "waited 1.3 s for the end"
    assert called.facts["elapsed"] >= 1.2
    assert called.chunks


async def test_the_upstreams_own_timeout_covers_attempts_and_waits(
    upstreams: Upstreams, outgoing: Outgoing
) -> None:
    """It ends an attempt in the middle, which is not tried again."""
    url = upstreams.base_url + "/never"
    upstream = Upstream(url=url, first_byte_timeout=0.8, timeout=1.3, retries=9, backoff=0.0)
    called = await call(upstream, outgoing)
    assert str(called.error) == "waited 1.3 s for the end"
    assert called.facts["attempts"] == 2


async def test_the_wait_for_a_connection_counts(upstreams: Upstreams) -> None:
    """Where none is free within `timeout`, the upstream was never called."""
    async with carrying(max_connections=1) as outgoing:
        holding = asyncio.create_task(
            call(Upstream(url=upstreams.base_url + "/never", timeout=2.0), outgoing)
        )
        await upstreams.wait_calls("/never")
        called = await call(Upstream(url=upstreams.base_url + "/json", timeout=0.2), outgoing)
        assert called.code == "timeout"
        assert (called.facts["attempts"], called.facts["elapsed"]) == (0, None)
        assert upstreams.calls["/json"] == 0
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        assert free_slots(outgoing) == 1


async def test_no_more_connections_than_allowed(upstreams: Upstreams) -> None:
    """Ten calls over two slots: two at a time, and all answer."""
    most = 0
    async with carrying(max_connections=2) as outgoing:

        async def one() -> None:
            nonlocal most
            called = await call(Upstream(url=upstreams.base_url + "/json?delay=0.02"), outgoing)
            assert called.result is not None
            most = max(most, upstreams.open)

        await asyncio.gather(*(one() for _ in range(10)))
    assert len(upstreams.requests) == 10
    assert upstreams.connections <= 2
    assert most <= 2


async def test_a_cancelled_call_hangs_up_and_frees_its_slot(
    upstreams: Upstreams, either_transport: Transport
) -> None:
    """While it waits for the head, for the body, for a slot, or between attempts."""
    slots = asyncio.Semaphore(2)
    outgoing = Outgoing(
        transport=either_transport, slots=slots, random=lambda: 1.0, alarms=Alarms()
    )
    targets = ["/never", "/stall-in-body", "/json", "/json"]
    calls = [
        asyncio.create_task(call(Upstream(url=upstreams.base_url + target), outgoing))
        for target in targets
    ]
    await upstreams.wait_calls("/never")
    await upstreams.wait_calls("/stall-in-body")
    for each in calls:
        each.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await upstreams.wait_closed_by_peer("/never")
    await upstreams.wait_closed_by_peer("/stall-in-body")
    assert upstreams.calls["/json"] == 0
    assert free_slots(outgoing) == 2


async def test_slots_come_back_however_calls_end(upstreams: Upstreams) -> None:
    """Two hundred calls over four slots, cancelled at any moment or left alone."""
    targets = ["/json", "/status/404", "/hangup", "/never", "/invalid-json", "/large"]
    async with carrying(max_connections=4) as outgoing:
        calls = []
        for n in range(200):
            url = upstreams.base_url + targets[n % len(targets)]
            upstream = Upstream(url=url, timeout=0.3, backoff=0.0)
            calls.append(asyncio.create_task(call(upstream, outgoing)))
            if n % 3 == 0:
                asyncio.get_running_loop().call_later(n / 400, calls[-1].cancel)
        await asyncio.gather(*calls, return_exceptions=True)
        assert free_slots(outgoing) == 4
        assert (await call(Upstream(url=upstreams.base_url + "/json"), outgoing)).result


# --------------------------------------------------------------------- redirects


async def test_a_redirect_is_a_status_unless_it_may_be_followed(
    upstreams: Upstreams, outgoing: Outgoing
) -> None:
    """Off by default."""
    called = await call(Upstream(url=upstreams.base_url + "/redirect"), outgoing)
    assert (called.code, called.facts["status"]) == ("status", 302)


@pytest.mark.parametrize(("redirects", "code"), [(5, None), (6, "status")])
async def test_five_redirects_are_followed(
    upstreams: Upstreams, outgoing: Outgoing, redirects: int, code: str | None
) -> None:
    """Not a sixth, and all of them are one attempt."""
    url = f"{upstreams.base_url}/redirect-chain/{redirects}"
    called = await call(Upstream(url=url, follow_redirects=True), outgoing)
    assert (called.code, called.facts["attempts"]) == (code, 1)


async def test_redirects_for_ever_end(upstreams: Upstreams, outgoing: Outgoing) -> None:
    """After the first request and five more."""
    url = upstreams.base_url + "/redirect-loop"
    called = await call(Upstream(url=url, follow_redirects=True), outgoing)
    assert (called.code, called.facts["status"]) == ("status", 302)
    assert upstreams.calls["/redirect-loop"] == 6


async def test_another_host_is_not_followed_unasked(
    upstreams: Upstreams, outgoing: Outgoing
) -> None:
    """The redirect is the answer, and the other host never hears of it."""
    async with Upstreams() as other:
        url = f"{upstreams.base_url}/redirect?to={other.base_url}/echo"
        called = await call(Upstream(url=url, follow_redirects=True), outgoing)
        assert (called.code, called.facts["status"]) == ("status", 302)
        assert not other.requests


async def test_credentials_never_cross_origins(
    upstreams: Upstreams, either_transport: Transport
) -> None:
    """Another port is another origin; coming back does not bring them back."""
    outgoing = Outgoing(
        transport=either_transport,
        slots=asyncio.Semaphore(1),
        random=lambda: 0.0,
        alarms=Alarms(),
    )
    async with Upstreams() as other:
        home = f"{other.base_url}/redirect?to={upstreams.base_url}/echo"
        upstream = Upstream(
            url=f"{upstreams.base_url}/redirect?to={home.replace('?', '%3F')}",
            headers={"Authorization": "Bearer secret", "Cookie": "a=b", "X-Api-Key": "secret"},
            follow_redirects=True,
            redirect_hosts=("127.0.0.1",),
        )
        called = await call(upstream, outgoing)
        assert called.result is not None
        assert upstreams.requests[0].header("authorization") == "Bearer secret"
        for request in (*other.requests, upstreams.requests[-1]):
            assert request.header("accept")
            assert {request.header(name) for name in ("authorization", "cookie", "x-api-key")} == {
                None
            }


async def test_what_a_client_of_ones_own_knows_never_crosses_origins(
    upstreams: Upstreams,
) -> None:
    """Its authentication and its fields go to the first origin alone, and not back to it."""
    async with (
        Upstreams() as other,
        httpx.AsyncClient(auth=("user", "secret"), headers={"X-Mine": "secret"}) as client,
        carrying(HttpxTransport(client)) as outgoing,
    ):
        home = f"{other.base_url}/redirect?to={upstreams.base_url}/echo"
        upstream = Upstream(
            url=f"{upstreams.base_url}/redirect?to={home.replace('?', '%3F')}",
            follow_redirects=True,
            redirect_hosts=("127.0.0.1",),
        )
        assert (await call(upstream, outgoing)).result is not None
        first, last = upstreams.requests
        assert (first.header("x-mine"), bool(first.header("authorization"))) == ("secret", True)
        for request in (*other.requests, last):
            assert {request.header(name) for name in ("authorization", "x-mine")} == {None}


async def test_a_redirect_is_not_the_head_that_is_waited_for(
    upstreams: Upstreams, outgoing: Outgoing
) -> None:
    """Where it leads nowhere, no status has answered, and another attempt may mend it."""
    upstream = Upstream(
        url=upstreams.base_url + "/redirect?to=/never",
        follow_redirects=True,
        first_byte_timeout=0.2,
        retries=1,
        backoff=0.0,
    )
    called = await call(upstream, outgoing)
    assert str(called.error) == "waited 0.2 s for the head"
    assert (called.facts["status"], called.facts["attempts"]) == (None, 2)


# -------------------------------------------------------------------- the result


@pytest.mark.parametrize("read", ["json", "text", "bytes", "sse", "ndjson", "lines", "stream"])
async def test_no_content_is_null(upstreams: Upstreams, outgoing: Outgoing, read: str) -> None:
    """Whatever the body would have been read as."""
    called = await call(Upstream(url=upstreams.base_url + "/empty", read=read), outgoing)
    assert called.result is not None
    assert (called.result["status"], called.result["body"]) == (204, None)


async def test_the_answer_to_a_head_is_null(upstreams: Upstreams, outgoing: Outgoing) -> None:
    """It has no body to be read as JSON."""
    called = await call(Upstream(url=upstreams.base_url + "/json", method="HEAD"), outgoing)
    assert called.result is not None
    assert (called.result["status"], called.result["body"]) == (200, None)


@pytest.mark.parametrize(
    ("target", "read", "body"),
    [
        ("/json-raw?text=%7B%22a%22:%5B1,2.50%5D%7D", "json", {"a": [1, 2.5]}),
        ("/latin1", "text", "café"),
        ("/json-raw?text=abc", "bytes", "YWJj"),
    ],
)
async def test_a_body_that_is_read_whole(
    upstreams: Upstreams, outgoing: Outgoing, target: str, read: str, body: Any
) -> None:
    """Its value stands in the `result`, and there are no chunks."""
    called = await call(Upstream(url=upstreams.base_url + target, read=read), outgoing)
    assert called.result is not None
    assert (called.result["body"], called.events) == (body, [])
    assert "chunks" not in called.result
    assert called.result.keys() == {
        *("upstream", "status", "elapsed", "first_byte", "attempts", "content_type", "body"),
    }


@pytest.mark.parametrize(
    ("target", "read", "first"),
    [
        ("/sse", "sse", {"event": "tick", "id": "1"}),
        ("/ndjson", "ndjson", {"n": 1}),
        ("/lines", "lines", "line 1"),
        ("/gzip-lines", "ndjson", {"n": 1}),
    ],
)
async def test_a_body_that_is_read_as_a_stream(
    upstreams: Upstreams, outgoing: Outgoing, target: str, read: str, first: Any
) -> None:
    """A chunk for each piece, and a `result` without a body that says how many."""
    called = await call(Upstream(url=upstreams.base_url + target, read=read), outgoing)
    assert called.result is not None
    assert (called.result["body"], called.result["chunks"]) == (None, 3)
    assert [chunk["n"] for chunk in called.data("chunk")] == [1, 2, 3]
    chunk = called.chunks[0]
    assert chunk == first if isinstance(first, str) else first.items() <= chunk.items()


async def test_pieces_of_text_are_cut_between_characters(
    upstreams: Upstreams, outgoing: Outgoing
) -> None:
    """Whatever the pieces were on the way, the text is whole."""
    called = await call(Upstream(url=upstreams.base_url + "/stream", read="stream"), outgoing)
    assert "".join(called.chunks) == "1€2€3€"


async def test_a_stream_that_says_that_it_is_done_ends_there(
    upstreams: Upstreams, outgoing: Outgoing
) -> None:
    """`[DONE]` is no chunk, and what an upstream keeps open is hung up on."""
    done = b"data: 1\n\ndata: [DONE]\n\ndata: 2\n\n"
    async with serving(say(CHUNKED + b"%x\r\n%b\r\n" % (len(done), done))) as url:
        called = await call(Upstream(url=url, read="sse"), outgoing)
    assert called.result is not None
    assert [chunk["data"] for chunk in called.chunks] == ["1"]


async def test_pieces_come_while_the_body_goes_on(upstreams: Upstreams, outgoing: Outgoing) -> None:
    """The first events of a body that never ends are passed on; cancelling hangs up."""
    upstream = Upstream(url=upstreams.base_url + "/sse?events=0&delay=0.05", read="sse")
    called = Called()
    reading = asyncio.create_task(call(upstream, outgoing, into=called))
    await until(lambda: len(called.chunks) >= 2)
    assert upstreams.open == 1
    reading.cancel()
    await upstreams.wait_closed_by_peer("/sse")


@pytest.mark.parametrize(
    ("body", "read"), [(b"\n" * 40_000, "lines"), (b"data:\n\n" * 9_000, "sse")]
)
async def test_thousands_of_pieces_at_once_keep_nobody_from_the_loop(
    outgoing: Outgoing, body: bytes, read: str
) -> None:
    """One read of the socket may bring them; others have their turn between a few."""
    called = Called()
    seen = [0]
    async with serving(say(OK + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))) as url:
        calling = asyncio.create_task(call(Upstream(url=url, read=read), outgoing, into=called))
        while not calling.done():
            await asyncio.sleep(0)
            seen.append(len(called.events))
    assert called.result is not None
    assert max(after - before for before, after in pairwise(seen)) <= CHUNKS_AT_ONCE


async def test_the_time_of_others_is_not_the_upstreams(outgoing: Outgoing) -> None:
    """One read brings more pieces than are appended in `idle_timeout`: the upstream is not late."""

    class Slow(list[tuple[str, Any]]):
        def append(self, event: tuple[str, Any]) -> None:
            time.sleep(0.001)
            super().append(event)

    body = b"\n" * 640
    async with serving(say(OK + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))) as url:
        upstream = Upstream(url=url, read="lines", idle_timeout=0.4)
        called = await call(upstream, outgoing, into=Called(events=Slow()))
    assert (called.code, len(called.chunks)) == (None, 640)
