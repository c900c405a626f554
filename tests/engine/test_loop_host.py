"""An engine on the loop that is there: made by the first request, and seeing nothing of it."""

import asyncio
import contextvars

from streaming.core.message import Request
from streaming.core.settings import Settings
from streaming.engine.engine import Engine
from streaming.engine.loop_host import LoopHost

GET = Request(method="GET")
secret: contextvars.ContextVar[str] = contextvars.ContextVar("secret")


async def test_the_engine_is_made_once_and_late() -> None:
    """Not with the host, and one for all requests."""
    made: list[Engine] = []

    def make_engine() -> Engine:
        made.append(Engine(Settings()))
        return made[-1]

    host = LoopHost(make_engine)
    assert not made
    replies = await asyncio.gather(*(host.answer("read_health", GET) for _ in range(3)))
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert made == [host.engine]
    await host.aclose()


async def test_a_host_without_an_engine_has_nothing_to_end() -> None:
    """A server that had no request ends at once; one that is closed twice as well."""
    host = LoopHost(lambda: Engine(Settings()))
    await host.aclose()
    host.engine.check_not_draining()
    await host.aclose()
    await host.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_engine_sees_nothing_of_the_first_request() -> None:
    """Its tasks live as long as the process."""
    seen: list[str | None] = []

    def make_engine() -> Engine:
        seen.append(secret.get(None))
        return Engine(Settings())

    token = secret.set("of the first request")
    host = LoopHost(make_engine)
    await host.answer("read_health", GET)
    secret.reset(token)
    assert seen == [None]
    await host.aclose()
