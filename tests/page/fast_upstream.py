"""Upstreams that say all that they have at once: what then takes time is the page.

`LOAD` are feeds of them: `many` has 100 upstreams of an answer each, `tokens` one stream of 10,000
tokens, `lines` 100 streams of 100 lines each, and `big` an answer of 1 MiB. Of `lines` the last
stream ends when the test says so, and has been told whole by then.
"""

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

UPSTREAMS = 100
CHUNKS = 10_000
BIG_CHARS = 2**20

_HOLD_TIMEOUT = 60.0

_NAMES = [f"u{n:02}" for n in range(UPSTREAMS)]


def _feed(name: str, path: str, upstreams: list[str], more: str = "") -> str:
    rows = (f'{each} = {{ url = "${{UPSTREAMS}}/{path}"{more} }}' for each in upstreams)
    return f"[feeds.{name}.upstreams]\n" + "\n".join(rows)


# The log is wide enough for all that is said: what a log that is trimmed shows is another matter.
LOAD = "\n\n".join(
    [
        "[log]\nmax_events = 20000",
        _feed("many", "json", _NAMES),
        _feed("tokens", "tokens", ["answer"], ', read = "sse"'),
        _feed("lines", "lines", _NAMES[:-1], ', read = "lines"'),
        f'{_NAMES[-1]} = {{ url = "${{UPSTREAMS}}/held", read = "lines" }}',
        _feed("big", "big", ["big"]),
    ]
)

WORDS = [f"word{n} " for n in range(CHUNKS)]


def _tokens() -> str:
    events = ({"choices": [{"delta": {"content": word}}]} for word in WORDS)
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events)


def _lines() -> str:
    return "".join(f"line {n} of what an upstream has to say\n" for n in range(CHUNKS // UPSTREAMS))


def _big() -> str:
    rows: list[dict[str, object]] = []
    chars = 2
    while chars < BIG_CHARS - 200:
        n = len(rows)
        rows.append({"id": n, "name": f"row {n}", "tags": ["a", "b"], "at": {"x": n / 7, "y": -n}})
        chars += len(json.dumps(rows[-1])) + 2
    return json.dumps(rows)


_JSON = json.dumps({"temperature": 11.5, "wind": {"speed": 4, "from": "west"}})


class FastUpstream:
    """A server in a thread, whose answers end with their connection, as HTTP/1.0 has it."""

    def __init__(self) -> None:
        self.answers = {
            "/json": ("application/json", _JSON.encode()),
            "/tokens": ("text/event-stream", _tokens().encode()),
            "/lines": ("text/plain", _lines().encode()),
            "/held": ("text/plain", _lines().encode()),
            "/big": ("application/json", _big().encode()),
        }
        self.is_released = threading.Event()

    @property
    def base_url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self.is_released.set()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # each is waited for at the end
    request_queue_size = 2 * UPSTREAMS


def _handler(upstream: FastUpstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):  # whoever asked has left
                super().handle()

        def do_GET(self) -> None:
            content_type, body = upstream.answers[self.path]
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            self.wfile.write(body)
            if self.path == "/held":
                self.wfile.flush()
                upstream.is_released.wait(_HOLD_TIMEOUT)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler
