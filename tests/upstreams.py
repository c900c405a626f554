"""Upstreams for tests: real sockets, and every way in which a service can misbehave.

`Upstreams` serves in the test's own event loop, `UpstreamsThread` in a thread, for tests that block
and for applications in other processes. Both say what they saw: the requests, how many are being
answered, and how often a client hung up before its answer was whole. What is at which path stands
in `upstream_answers`, `upstream_codings`, `upstream_faults`, `upstream_gates` and
`upstream_streams`.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Coroutine
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Self

from tests.unreachable_ports import LOOPBACK, closed_port, full_backlog
from tests.upstream_answers import answers
from tests.upstream_codings import codings
from tests.upstream_exchange import Behaviour, Exchange, Received, read_request
from tests.upstream_faults import faults
from tests.upstream_gates import gates
from tests.upstream_observations import Observations
from tests.upstream_streams import streams

__all__ = ["Received", "Upstreams", "UpstreamsThread", "closed_port", "full_backlog"]

BEHAVIOURS: dict[str, Behaviour] = {**answers, **codings, **faults, **gates, **streams}

# Connections that come at once; one that finds no room is tried again after a second.
_MAX_BACKLOG = 1024

# Bytes of a request's head, for tests of long targets and headers.
_MAX_HEAD_BYTES = 1 << 20


class _Connection(asyncio.StreamReaderProtocol):
    """Notes that the peer has gone also while nobody reads."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.gone = asyncio.Event()

    def eof_received(self) -> bool | None:
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        super().connection_lost(exc)


class Upstreams(Observations):
    """The server, open as long as the `async with` block runs; see `Observations`.

    Attributes:
        port: Where it listens on 127.0.0.1.

    Raises:
        ExceptionGroup: On leaving, where a behaviour failed or a client sent what is not HTTP.
    """

    def __init__(self) -> None:
        super().__init__()
        self.port = 0
        self._conversations: dict[asyncio.Task[None], asyncio.WriteTransport] = {}
        self._failures: list[Exception] = []

    @property
    def base_url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def open_connections(self) -> int:
        """How many connections are open, be they idle."""
        return len(self._conversations)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, LOOPBACK, 0, backlog=_MAX_BACKLOG)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        conversations = dict(self._conversations)
        for conversation, transport in conversations.items():
            transport.abort()
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)
        await self._server.wait_closed()
        if self._failures:
            raise ExceptionGroup("the test upstreams failed", self._failures)

    def _connection(self) -> _Connection:
        reader = asyncio.StreamReader(limit=_MAX_HEAD_BYTES)
        return _Connection(reader, self._connected)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        conversation = asyncio.ensure_future(self._converse(reader, writer))
        self._conversations[conversation] = writer.transport
        conversation.add_done_callback(self._ended)

    def _ended(self, conversation: asyncio.Task[None]) -> None:
        del self._conversations[conversation]
        if not conversation.cancelled() and isinstance(exc := conversation.exception(), Exception):
            self._failures.append(exc)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.transport.get_protocol()
        assert isinstance(connection, _Connection)
        try:
            while request := await read_request(reader):
                if not await self._answer(request, writer, gone=connection.gone):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the peer left in the middle of a request
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(
        self, request: Received, writer: asyncio.StreamWriter, *, gone: asyncio.Event
    ) -> bool:
        """Answer one request, and say whether the connection can take another."""
        with self.answering(request):
            exchange = Exchange(request, writer, call=self.calls[request.path])
            is_left = await _perform(exchange, gone=gone)
        if is_left:
            self.receive_leave(request.path)
            writer.transport.abort()
        return exchange.is_whole and request.header("Connection") != "close"


async def _perform(exchange: Exchange, *, gone: asyncio.Event) -> bool:
    """Run the behaviour until it ends or the peer leaves, and say whether the peer left."""
    segment = exchange.request.path[1:].partition("/")[0]
    performance = asyncio.ensure_future(BEHAVIOURS.get(segment, _unknown)(exchange))
    leaving = asyncio.ensure_future(gone.wait())
    try:
        await asyncio.wait((performance, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not performance.done():
            return True
        await performance
        return False
    except ConnectionError:
        return True
    finally:
        performance.cancel()
        leaving.cancel()
        await asyncio.gather(performance, leaving, return_exceptions=True)


async def _unknown(exchange: Exchange) -> None:
    await exchange.answer_json({"error": "no such behaviour"}, status=404)


class UpstreamsThread:
    """`Upstreams` in a thread with an event loop of its own, for callers that block.

    The observations are read as they are; the waits block the calling thread.
    """

    def __init__(self) -> None:
        self._opened: Future[Upstreams] = Future()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="upstreams")

    def __enter__(self) -> Self:
        self._served = self._executor.submit(asyncio.run, self._serve())
        either: list[Future[Any]] = [self._opened, self._served]
        wait(either, return_when=FIRST_COMPLETED)
        if self._served.done():
            self._served.result()
        self._upstreams = self._opened.result()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._left.set)
        self._executor.shutdown()
        self._served.result()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._left = asyncio.Event()
        async with Upstreams() as upstreams:
            self._opened.set_result(upstreams)
            await self._left.wait()

    @property
    def base_url(self) -> str:
        """Where it answers, without a slash at the end."""
        return self._upstreams.base_url

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return self._upstreams.port

    @property
    def connections(self) -> int:
        """See `Observations`."""
        return self._upstreams.connections

    @property
    def open_connections(self) -> int:
        """See `Upstreams`."""
        return self._upstreams.open_connections

    @property
    def calls(self) -> Counter[str]:
        """See `Observations`."""
        return self._upstreams.calls

    @property
    def requests(self) -> list[Received]:
        """See `Observations`."""
        return self._upstreams.requests

    @property
    def open(self) -> int:
        """See `Observations`."""
        return self._upstreams.open

    @property
    def closed_by_peer(self) -> Counter[str]:
        """See `Observations`."""
        return self._upstreams.closed_by_peer

    def wait_calls(self, path: str, count: int = 1, **timeout: float) -> None:
        """See `Observations`."""
        self._wait(self._upstreams.wait_calls(path, count, **timeout))

    def wait_closed_by_peer(self, path: str, count: int = 1, **timeout: float) -> None:
        """See `Observations`."""
        self._wait(self._upstreams.wait_closed_by_peer(path, count, **timeout))

    def wait_idle(self, **timeout: float) -> None:
        """See `Observations`."""
        self._wait(self._upstreams.wait_idle(**timeout))

    def _wait(self, observed: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(observed, self._loop).result()
