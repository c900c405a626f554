"""An engine on the loop that is there already: the counterpart of the bridge, for Quart.

The engine is made by the first request, so that importing an application opens nothing, and servers
without lifespan events work too.
"""

import contextvars
from collections.abc import Callable

from streaming.core.message import Reply, Request
from streaming.engine.engine import Engine
from streaming.engine.interface import Interface


class LoopHost:
    """An engine on the running loop.

    Args:
        make_engine: Makes the engine; called on the loop, once.
    """

    def __init__(self, make_engine: Callable[[], Engine]) -> None:
        self._make_engine = make_engine
        self._interface: Interface | None = None

    @property
    def engine(self) -> Engine:
        """The engine, which is made first if need be."""
        return self._ensure_made().engine

    async def answer(self, operation: str, request: Request) -> Reply:
        """Answer a request; see `Interface.answer`."""
        return await self._ensure_made().answer(operation, request)

    async def refuse_unread(self, request: Request) -> Reply | None:
        """Refuse a request before its body is read; see `Interface.refuse_unread`."""
        return await self._ensure_made().refuse_unread(request)

    async def aclose(self) -> None:
        """End everything now; harmless where no engine was made."""
        if self._interface is not None:
            interface, self._interface = self._interface, None
            await interface.engine.aclose()

    def _ensure_made(self) -> Interface:
        if self._interface is None:
            # What lives as long as the process must not hold the first request.
            engine = contextvars.Context().run(self._make_engine)
            self._interface = Interface(engine)
        return self._interface
