"""An ASGI middleware that sends streams itself, once the application below has answered.

A framework holds a request, its context and tasks of its own for as long as a response goes on, and
hands each piece through them. Here it routes, asks whatever it has to ask, and answers with a head
and a body that is empty; what streams then is its server's task alone. It knows no framework: the
scope holds a `Handover`, and whoever begins the body that it offers has handed the stream over.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import aclosing
from functools import lru_cache
from typing import Any

from streaming import adapter
from streaming.core.message import Headers, Reply
from streaming.engine.client_watch import claim_watch
from streaming.engine.driver import drive
from streaming.engine.streams import StreamReply

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

HANDOVER = "fanstream.handover"
"""The key in a scope's `extensions` under which an application finds its `Handover`."""


class Handover:
    """Takes the body of one response over from the application.

    Args:
        send: The server's.
        end_answer: Called when the application has sent all that it sends of such a response.
    """

    __slots__ = ("_end_answer", "_is_watched", "_pieces", "_send")

    def __init__(self, send: Send, *, end_answer: Callable[[], None]) -> None:
        self._send = send
        self._end_answer = end_answer
        self._pieces: AsyncGenerator[bytes, None] | None = None
        self._is_watched = False

    @property
    def server_send(self) -> Send:
        """What the pieces will be sent by."""
        return self._send

    async def offer(
        self, pieces: AsyncGenerator[bytes, None], *, is_watched: bool
    ) -> AsyncGenerator[bytes, None]:
        """Give a body without a byte; `pieces` follow the head of the response that it is sent as.

        Args:
            pieces: What is streamed. Where the body is never begun they are dropped with it.
            is_watched: Whether they end by themselves when the client leaves.
        """
        self._pieces, self._is_watched = pieces, is_watched
        return
        yield b""

    async def send(self, message: Message) -> None:
        """Send a message of the application's, unless it is the end of the body without a byte."""
        # The head may come after the body's beginning, where something in between kept it back.
        if self._pieces is None or message["type"] != "http.response.body":
            await self._send(message)
        elif not message.get("more_body"):
            self._end_answer()

    async def stream(self, receive: Receive) -> None:
        """Send what was taken over, if anything was, until its end or the client's leaving."""
        if self._pieces is not None:
            await _stream(self._pieces, None if self._is_watched else receive, self._send)


class StreamSending:
    """The middleware.

    Args:
        app: The application, which finds a `Handover` in the scope of each request.
    """

    def __init__(self, app: Application) -> None:
        self._app = app

    @classmethod
    def install(cls, app: Any) -> None:
        """Put it in front of a framework's application, once, where middleware belongs.

        Args:
            app: An application with an `asgi_app`, such as Quart's.
        """
        if not isinstance(app.asgi_app, cls):
            app.asgi_app = cls(app.asgi_app)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request, or whatever else a server asks for."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        incoming = _Incoming(receive)
        handover = Handover(send, end_answer=incoming.end_answer)
        extensions = scope["extensions"] = {**(scope.get("extensions") or {}), HANDOVER: handover}
        try:
            await self._app(scope, incoming.receive_for_application, handover.send)
            await handover.stream(incoming.receive)
        finally:
            incoming.close()
            # Servers' `send` holds the scope: the three would wait for the collector.
            del extensions[HANDOVER]


def open_body(reply: StreamReply, scope: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
    """Return the body of a reply that streams, for a framework that sends the response.

    Where a `Handover` stands in the scope that is a body without a byte: what streams follows.

    Args:
        reply: The reply; its client is watched from now on.
        scope: The request's.
    """
    handover: Handover | None = (scope.get("extensions") or {}).get(HANDOVER)
    if handover is None:
        return _open_pieces(reply, scope, send=None)[0]
    pieces, is_watched = _open_pieces(reply, scope, send=handover.server_send)
    return handover.offer(pieces, is_watched=is_watched)


def _open_pieces(
    reply: StreamReply, scope: Mapping[str, Any], *, send: Send | None
) -> tuple[AsyncGenerator[bytes, None], bool]:
    """Return the pieces, and whether they end by themselves when the client leaves."""
    watch = claim_watch(scope.get("extensions") or {})
    reply.watch_client(watch)
    abort, take = adapter.find_abort(scope), adapter.find_take(scope, send)
    return drive(reply.viewer, abort=abort, take=take), watch is not None


async def send_reply(
    reply: Reply, scope: MutableMapping[str, Any], receive: Receive, send: Send
) -> None:
    """Send a reply to a GET, of which nobody else has sent anything."""
    headers = reply.headers
    if reply.body:
        headers = (*headers, ("Content-Length", str(len(reply.body))))
    start = {
        "type": "http.response.start",
        "status": reply.status,
        "headers": list(_encode_headers(headers)),
    }
    if not isinstance(reply, StreamReply):
        await send(start)
        await send(_body(reply.body, more_body=False))
        return
    pieces, is_watched = _open_pieces(reply, scope, send=send)
    await send(start)
    await _stream(pieces, None if is_watched else receive, send)


@lru_cache(maxsize=64)
def _encode_headers(headers: Headers) -> tuple[tuple[bytes, bytes], ...]:
    """Encode what is the same for most."""
    return tuple(
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
    )


async def _stream(pieces: AsyncGenerator[bytes, None], receive: Receive | None, send: Send) -> None:
    """Send pieces; `receive` tells of the client's leaving where nobody else does."""
    async with aclosing(pieces):
        if receive is None:
            await _send_all(pieces, send)
            return
        leaving = _Leaving(receive)
        try:
            await _send_all(pieces, send)
        except asyncio.CancelledError:
            if not leaving.has_cancelled():
                raise
        finally:
            leaving.close()


async def _send_all(pieces: AsyncGenerator[bytes, None], send: Send) -> None:
    async for piece in pieces:
        await send(_body(piece, more_body=True))
    await send(_body(b"", more_body=False))


class _Incoming:
    """What a server says of a request, asked once at a time, whoever gives up waiting for it.

    A framework cancels its wait for the client's leaving when it has answered, which gunicorn takes
    for the leaving itself; or it waits on, until a server says that the response is whole.

    Args:
        receive: The server's.
    """

    __slots__ = ("_answered", "_receive", "_waiting")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._waiting: asyncio.Task[Message] | None = None
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end_answer(self) -> None:
        """Have the application told that its response is whole, as far as it goes."""
        if not self._answered.done():
            self._answered.set_result(None)

    async def receive_for_application(self) -> Message:
        """Return the next message, or that the connection has ended, as after a whole response."""
        if not self._answered.done():
            waiting = self._wait()
            await asyncio.wait((waiting, self._answered), return_when=asyncio.FIRST_COMPLETED)
        return {"type": "http.disconnect"} if self._answered.done() else await self.receive()

    async def receive(self) -> Message:
        """Return the next message."""
        message = await asyncio.shield(self._wait())
        self._waiting = None
        return message

    def close(self) -> None:
        """Give up what is still waited for."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _wait(self) -> asyncio.Task[Message]:
        if self._waiting is None:
            coroutine = _await(self._receive)
            self._waiting = asyncio.get_running_loop().create_task(coroutine)
        return self._waiting


async def _await(receive: Receive) -> Message:
    return await receive()


class _Leaving:
    """Cancels the running task when its client leaves.

    Args:
        receive: The server's.
    """

    def __init__(self, receive: Receive) -> None:
        self._task = asyncio.current_task()
        self._has_left = False
        self._waiting = asyncio.get_running_loop().create_task(self._wait(receive))

    def has_cancelled(self) -> bool:
        """Say whether it is this, and nothing else, that has cancelled the task."""
        return self._has_left and self._task is not None and self._task.uncancel() == 0

    def close(self) -> None:
        self._waiting.cancel()
        # The task ends by an error whose traceback holds this: they would wait for the collector.
        del self._waiting

    async def _wait(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._has_left = True
        if self._task is not None:
            self._task.cancel()


def _body(piece: bytes, *, more_body: bool) -> Message:
    return {"type": "http.response.body", "body": piece, "more_body": more_body}
