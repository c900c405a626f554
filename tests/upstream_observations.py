"""What the test upstreams saw, and waiting until they have seen it.

Written in the server's event loop alone; read from any thread, as each value is replaced or grows
in one step.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.upstream_exchange import Received

_WAIT = 5.0


class Observations:
    """What was seen since the server was made.

    Attributes:
        connections: How many were accepted.
        calls: Requests by path, as it stood in the target without its query.
        requests: All requests in the order in which they came.
        open: How many requests are being answered now.
        closed_by_peer: By path, how often the client closed (be it one side only) or reset the
            connection before the answer was whole.
    """

    def __init__(self) -> None:
        self.connections = 0
        self.calls: Counter[str] = Counter()
        self.requests: list[Received] = []
        self.open = 0
        self.closed_by_peer: Counter[str] = Counter()
        self._changed = asyncio.Event()

    async def wait_until(self, is_so: Callable[[], bool], *, timeout: float = _WAIT) -> None:
        """Wait until something observed is so.

        Raises:
            TimeoutError: It was not, for `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            while not is_so():
                await self._changed.wait()

    async def wait_calls(self, path: str, count: int = 1, *, timeout: float = _WAIT) -> None:
        """Wait until a path was asked for `count` times; see `wait_until`."""
        await self.wait_until(lambda: self.calls[path] >= count, timeout=timeout)

    async def wait_closed_by_peer(
        self, path: str, count: int = 1, *, timeout: float = _WAIT
    ) -> None:
        """Wait until clients hung up on a path `count` times; see `wait_until`."""
        await self.wait_until(lambda: self.closed_by_peer[path] >= count, timeout=timeout)

    async def wait_idle(self, *, timeout: float = _WAIT) -> None:
        """Wait until no request is being answered; see `wait_until`."""
        await self.wait_until(lambda: self.open == 0, timeout=timeout)

    @contextmanager
    def answering(self, request: Received) -> Iterator[None]:
        """Note a request, and that it is being answered for as long as the block runs."""
        self.calls[request.path] += 1
        self.requests.append(request)
        self.open += 1
        self._note()
        try:
            yield
        finally:
            self.open -= 1
            self._note()

    def receive_leave(self, path: str) -> None:
        """Note that the client left before the answer was whole."""
        self.closed_by_peer[path] += 1
        self._note()

    def _note(self) -> None:
        # Whoever waits holds the event of its time; whoever comes later takes the next.
        self._changed.set()
        self._changed = asyncio.Event()
