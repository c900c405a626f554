"""Viewers for tests: what a client sees of a stream, and when, over a real connection.

Events are read by httpx and httpx-sse, lines by the standard library: neither is fanstream's own,
so a fault on one side is not mended by the same fault on the other.
"""

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import httpx
import httpx_sse

TIMEOUT = 10.0
"""Seconds that nothing may come for; a test that waits longer has hung. Less than a beat takes."""

T = TypeVar("T")

_POLL_INTERVAL = 0.01

# Made once: what httpx makes for each client costs more than a request, and nothing here is TLS.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True, slots=True)
class Seen:
    """An event, and the time at which it was seen by `time.monotonic`."""

    event: str
    data: Any
    id: str
    time: float = field(default_factory=time.monotonic, compare=False)

    @property
    def n(self) -> int:
        """Its number in its log."""
        return int(self.id.rpartition("-")[2])


class Viewer:
    """One open stream; iterating gives its events as they come.

    Args:
        response: What answers; its body was not read.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        is_sse = response.headers.get("content-type", "").startswith("text/event-stream")
        self._events = _sse_events(response) if is_sse else _ndjson_events(response)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Seen:
        return next(self._events)

    def until(self, event: str, **data: Any) -> Seen:
        """Read on to the next event of this name whose data has these members.

        Raises:
            AssertionError: The stream ended before.
        """
        passed = []
        for seen in self:
            if seen.event == event and (not data or data.items() <= seen.data.items()):
                return seen
            passed.append(seen)
        raise AssertionError(f"no {event} {data} among {passed}")

    def rest(self) -> list[Seen]:
        """Read on to the end."""
        return list(self)


def _sse_events(response: httpx.Response) -> Iterator[Seen]:
    for sse in httpx_sse.EventSource(response).iter_sse():
        # It makes an event of a block that has a `retry:` and no data, other than the standard.
        if sse.retry is not None and not sse.data:
            continue
        try:
            data = _decode(sse.data)
        except ValueError:
            data = sse.data
        yield Seen(sse.event, data, sse.id)


def _ndjson_events(response: httpx.Response) -> Iterator[Seen]:
    # Not httpx's `iter_lines`, which ends lines at U+2028 and the like as well.
    rest = b""
    for piece in response.iter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            message = _decode(line.decode())
            yield Seen(message["event"], message["data"], message.get("id", ""))
    assert not rest, "the last line has no end"


def _decode(text: str) -> Any:
    """Decode JSON; an integer longer than Python takes (4,300 digits) stays text."""
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 4000 else digits)


def client(base_url: str) -> httpx.Client:
    """A client that keeps its connections; to be closed by who asks for it."""
    return httpx.Client(base_url=base_url, timeout=TIMEOUT, trust_env=False, verify=_NO_TLS)


def ask(base_url: str, path: str, *, method: str = "GET", **more: Any) -> httpx.Response:
    """Ask on a connection of its own, and read the whole answer."""
    with client(base_url) as asking:
        return asking.request(method, path, **more)


@contextmanager
def watching(base_url: str, path: str, *, method: str = "GET", **more: Any) -> Iterator[Viewer]:
    """Open a stream on a connection of its own; leaving the block closes it."""
    with client(base_url) as asking, asking.stream(method, path, **more) as response:
        yield Viewer(response)


@contextmanager
def reading(
    port: int, target: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Iterator[http.client.HTTPResponse]:
    """Open a stream whose bytes are read as they come: `readline` and `read1` wait for no more."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    with closing(connection):
        connection.request(method, target, headers=dict(headers or {}))
        with connection.getresponse() as response:
            yield response


def eventually(question: Callable[[], T]) -> T:
    """Ask until the answer is true, and return it.

    For what can be looked at and not be waited for; who polls an application is no viewer of it.

    Raises:
        AssertionError: It was not, for a time in which nothing else happened.
    """
    deadline = time.monotonic() + TIMEOUT
    while not (answer := question()):
        assert time.monotonic() < deadline, f"still {answer}"
        time.sleep(_POLL_INTERVAL)
    return answer


def problem(response: httpx.Response) -> dict[str, Any]:
    """The problem document that an answer is (RFC 9457)."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    document: dict[str, Any] = response.json()
    assert document["status"] == response.status_code
    assert {"type", "title", "detail"} <= document.keys()
    return document
