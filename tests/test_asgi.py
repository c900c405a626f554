"""Streams that are sent past their framework, as an ASGI server sees them."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from streaming.asgi import HANDOVER, Handover, StreamSending
from tests.fan_out import PATIENCE, until


class Connection:
    """What a server gives an application, and what it is given."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.scope: dict[str, Any] = {"type": "http", "extensions": {"some": 1}}
        self._has_left = asyncio.Event()

    def leave(self) -> None:
        self._has_left.set()

    async def receive(self) -> dict[str, Any]:
        await self._has_left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def is_whole(self) -> bool:
        return self.sent[-1].get("more_body") is False


class Pieces:
    """A body of one piece, and then of whatever it waits for."""

    def __init__(self) -> None:
        self.is_closed = False
        self.go_on = asyncio.Event()

    async def stream(self) -> AsyncGenerator[bytes, None]:
        try:
            yield b"first"
            await self.go_on.wait()
            yield b"last"
        finally:
            self.is_closed = True


def answering(
    pieces: AsyncGenerator[bytes, None], *, status: int = 200, is_watched: bool = False
) -> Any:
    """An application as a framework sends its response: the head, the body, an end of it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        handover: Handover = scope["extensions"][HANDOVER]
        body = handover.offer(pieces, is_watched=is_watched)
        await send({"type": "http.response.start", "status": status, "headers": []})
        async for piece in body:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


async def serve(app: Any, connection: Connection) -> None:
    async with asyncio.timeout(PATIENCE):
        await StreamSending(app)(connection.scope, connection.receive, connection.send)


async def test_a_body_is_sent_after_its_application() -> None:
    """To its end, once, and with one head."""
    pieces, connection = Pieces(), Connection()
    pieces.go_on.set()
    await serve(answering(pieces.stream()), connection)
    assert [message["type"].rpartition(".")[2] for message in connection.sent] == [
        *("start", "body", "body", "body")
    ]
    assert (connection.body, connection.is_whole) == (b"firstlast", True)
    assert pieces.is_closed


async def test_a_client_that_leaves_ends_the_body() -> None:
    """Whatever it waits for; the server's task goes on to its end."""
    pieces, connection = Pieces(), Connection()
    task = asyncio.create_task(serve(answering(pieces.stream()), connection))
    await until(lambda: connection.body == b"first")
    connection.leave()
    await task
    assert pieces.is_closed
    assert not connection.is_whole


async def test_a_server_that_cancels_is_obeyed() -> None:
    """Its cancellation passes, and the body is closed."""
    pieces, connection = Pieces(), Connection()
    task = asyncio.create_task(serve(answering(pieces.stream()), connection))
    await until(lambda: connection.body == b"first")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pieces.is_closed


async def test_a_wait_that_the_application_gives_up_goes_on() -> None:
    """A framework cancels it once it has answered, which gunicorn takes for a leaving."""
    pieces, connection = Pieces(), Connection()
    cancelled = False

    async def receive() -> dict[str, Any]:
        nonlocal cancelled
        try:
            return await connection.receive()
        except asyncio.CancelledError:
            cancelled = True
            raise

    async def app(scope: Any, receive: Any, send: Any) -> None:
        waiting = asyncio.create_task(receive())
        await answering(pieces.stream())(scope, receive, send)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    serving = StreamSending(app)(connection.scope, receive, connection.send)
    task = asyncio.create_task(serving)
    await until(lambda: connection.body == b"first")
    assert not cancelled
    connection.leave()
    await task
    assert pieces.is_closed


async def test_an_application_that_waits_for_the_end_of_its_response_is_told() -> None:
    """A framework may return only when its server says that all is over."""
    pieces, connection = Pieces(), Connection()
    pieces.go_on.set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(answering(pieces.stream())(scope, receive, send))
            assert (await receive())["type"] == "http.disconnect"

    await serve(app, connection)
    assert (connection.body, connection.is_whole) == (b"firstlast", True)


async def test_a_head_that_is_kept_back_is_sent() -> None:
    """By a middleware in between that waits for the first byte of the body, or for its end."""
    pieces, connection = Pieces(), Connection()
    pieces.go_on.set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kept: list[Any] = []

        async def keep(message: Any) -> None:
            kept.append(message)
            if message["type"] == "http.response.body":
                while kept:
                    await send(kept.pop(0))

        await answering(pieces.stream())(scope, receive, keep)

    await serve(app, connection)
    assert connection.sent[0]["type"] == "http.response.start"
    assert (connection.body, connection.is_whole) == (b"firstlast", True)


async def test_another_response_in_its_place_is_sent_as_it_is() -> None:
    """What was offered and never begun, such as when a function after the request fails."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"][HANDOVER].offer(Pieces().stream(), is_watched=False)
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"sorry", "more_body": False})

    connection = Connection()
    await serve(app, connection)
    assert (connection.body, connection.is_whole) == (b"sorry", True)


@pytest.mark.parametrize("extensions", [None, {}, {"some": 1}])
async def test_a_scope_holds_no_handover_afterwards(extensions: dict[str, Any] | None) -> None:
    """Which would hold the server's function, which holds the scope."""
    pieces, connection = Pieces(), Connection()
    pieces.go_on.set()
    connection.scope["extensions"] = extensions
    await serve(answering(pieces.stream()), connection)
    assert HANDOVER not in connection.scope["extensions"]


async def test_other_protocols_pass() -> None:
    """Such as lifespan, whose scope has nothing of a request."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    connection = Connection()
    scope = {"type": "lifespan"}
    await StreamSending(app)(scope, connection.receive, connection.send)
    assert seen == [({"type": "lifespan"}, connection.receive, connection.send)]


def test_it_is_put_in_front_once() -> None:
    """Two blueprints need it in the same application."""

    class App:
        def __init__(self, asgi_app: Callable[..., Any]) -> None:
            self.asgi_app: Any = asgi_app

    app = App(answering)
    StreamSending.install(app)
    first = app.asgi_app
    StreamSending.install(app)
    assert app.asgi_app is first


async def test_of_a_client_that_is_watched_the_server_is_not_asked() -> None:
    """The pieces end by themselves when it leaves: nobody waits beside them."""
    pieces, connection = Pieces(), Connection()
    tasks = asyncio.all_tasks()
    serving = asyncio.create_task(serve(answering(pieces.stream(), is_watched=True), connection))
    await until(lambda: connection.body == b"first")
    assert asyncio.all_tasks() - tasks == {serving}
    connection.leave()
    pieces.go_on.set()
    await serving
    assert (connection.body, connection.is_whole) == (b"firstlast", True)
