"""An upstream that answers nothing until the test says so, and says who is waiting.

What a viewer has seen by then, it has seen before the next answer existed: that proves the order of
arrival without a clock. Answers end with their connection, as HTTP/1.0 has it.
"""

import itertools
import threading
from collections import Counter, defaultdict
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Self

_END = b""
_WAIT = 10.0

Script = SimpleQueue[bytes]


class GatedUpstream:
    """A server in a thread; each path is a gate of its own, its name the path without the slash.

    A gate's first call gets its first answer, the second the second, whichever was there before.

    Attributes:
        targets: How often each target was called: a gate's name, and what followed it.
    """

    def __init__(self) -> None:
        self.targets: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._asking: defaultdict[str, list[Script]] = defaultdict(list)
        self._saying: defaultdict[str, list[Script]] = defaultdict(list)
        self._is_closed = False

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
        self._is_closed = True
        self.reset()
        self._server.server_close()

    def wait_target(self, target: str, count: int = 1) -> None:
        """Wait until a target was called `count` times.

        Raises:
            AssertionError: It was not, for some seconds.
        """
        with self._changed:
            called = self._changed.wait_for(lambda: self.targets[target] >= count, _WAIT)
        assert called, f"{target} was not called {count} times, but these: {self.targets}"

    def begin(self, name: str, *, content_type: str, status: int = 200) -> None:
        """Send the head of the next answer."""
        head = f"HTTP/1.0 {status} said\r\nContent-Type: {content_type}\r\n\r\n"
        self.send(name, head.encode())

    def send(self, name: str, data: bytes) -> None:
        """Send a piece of the answer that was begun."""
        with self._changed:
            self._give(name, data)

    def end(self, name: str) -> None:
        """End the answer that was begun."""
        with self._changed:
            self._give(name, _END)
            self._saying[name].pop(0)

    def answer(
        self, name: str, body: str, *, content_type: str = "application/json", status: int = 200
    ) -> None:
        """Answer one call whole: the one that waits, or the next one."""
        self.begin(name, content_type=content_type, status=status)
        self.send(name, body.encode())
        self.end(name)

    def reset(self) -> None:
        """Hang up on all who wait, and forget all that was said and asked."""
        with self._changed:
            for script in itertools.chain.from_iterable(self._saying.values()):
                script.put(_END)
            self._asking.clear()
            self._saying.clear()
            self.targets.clear()

    def perform(self, target: str, handler: BaseHTTPRequestHandler) -> None:
        """Send to one caller what the gate is given, until its end."""
        with self._changed:
            script = self._take(target.partition("?")[0])
            self.targets[target] += 1
            self._changed.notify_all()
        for data in iter(script.get, _END):
            handler.wfile.write(data)

    def _give(self, name: str, data: bytes) -> None:
        if not self._saying[name]:
            self._add(name)
        self._saying[name][0].put(data)

    def _take(self, name: str) -> Script:
        if not self._asking[name]:
            self._add(name)
        script = self._asking[name].pop(0)
        if self._is_closed:
            script.put(_END)
        return script

    def _add(self, name: str) -> None:
        """Make the next call's script, for whoever comes first: the caller or the answer."""
        script = Script()
        self._asking[name].append(script)
        self._saying[name].append(script)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # each is waited for at the end


def _handler(upstream: GatedUpstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):  # whoever waited has left
                super().handle()

        def do_GET(self) -> None:
            upstream.perform(self.path.removeprefix("/"), self)

    return Handler
