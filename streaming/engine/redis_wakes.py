"""What Redis tells a process: that a run has new events, or something about one that it executes.

One connection, that subscribes to as many channels as are wanted. What is published while it is
down is lost, so whoever wants to miss nothing looks for itself once it is up again.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from redis.asyncio.client import PubSub

from streaming.engine.backlog import Backlog
from streaming.engine.redis_client import FAULTS, Client, close_client
from streaming.engine.redis_link import LinkDown, check_not_cancelled

logger = logging.getLogger("fanstream")

SILENCE = 5.0
"""Seconds without a message after which the server is asked for one, and then given up."""

RETRY_WAIT = 0.5
"""Seconds between two tries to connect."""


class RedisWakes:
    """The subscriptions of a process.

    Args:
        client: A client of its own; it is closed here.
        always: Channels that are wanted all the time.
        receive: Called with each message: its channel, and what it says.
        on_up: Called whenever all that is wanted is subscribed to anew.
    """

    def __init__(
        self,
        client: Client,
        *,
        always: Iterable[str],
        receive: Callable[[str, str], None],
        on_up: Callable[[], None],
    ) -> None:
        self.tried = asyncio.Event()
        """Set once Redis was asked for the first time, whatever became of it."""
        self._client = client
        self._receive = receive
        self._on_up = on_up
        self._wanted = set(always)
        self._pubsub: PubSub | None = None
        self._changed: Backlog[str] = Backlog()
        # What was wanted when the connection was made, and is not confirmed yet.
        self._awaited: set[str] = set()
        # Those that the server has confirmed, and who waits for it to.
        self._confirmed: set[str] = set()
        self._waiting: dict[str, asyncio.Future[None]] = {}

    @property
    def is_up(self) -> bool:
        """Whether all that was wanted when it was connected is subscribed to."""
        return self._pubsub is not None and not self._awaited

    async def subscribe(self, channel: str) -> None:
        """Want a channel from now on, and wait until nothing said on it is missed.

        Raises:
            LinkDown: The server is not reached; the channel is subscribed to once it is.
        """
        self.want(channel)
        if channel in self._confirmed:
            return
        if self._pubsub is None:
            raise LinkDown
        waiting = self._waiting.get(channel)
        if waiting is None:
            waiting = self._waiting[channel] = asyncio.get_running_loop().create_future()
        await asyncio.shield(waiting)

    def want(self, channel: str) -> None:
        """Want a channel from now on."""
        if channel not in self._wanted:
            self._wanted.add(channel)
            self._changed.add(channel)

    def unwant(self, channel: str) -> None:
        """Want a channel no more; harmless where it was not wanted."""
        if channel in self._wanted:
            self._wanted.discard(channel)
            self._changed.add(channel)

    async def run(self) -> None:
        """Subscribe and listen, until this is cancelled."""
        try:
            while True:
                with suppress(*FAULTS):
                    await self._listen()
                check_not_cancelled()
                self.tried.set()
                await asyncio.sleep(RETRY_WAIT)
        finally:
            await close_client(self._client)

    async def _listen(self) -> None:
        # In a cluster, which node has a channel has to be known before.
        await self._client.initialize()
        pubsub = self._client.pubsub()
        changing: asyncio.Task[None] | None = None
        try:
            self._awaited = set(self._wanted)
            await pubsub.subscribe(*self._awaited)
            self._pubsub = pubsub
            connection: Any = pubsub.connection
            changing = asyncio.get_running_loop().create_task(self._change(pubsub))
            is_asked = False
            while True:
                # `get_message` takes half as much CPU time again, for nothing that is needed here.
                message = await connection.read_response(timeout=SILENCE, disconnect_on_error=False)
                check_not_cancelled()
                if message is None:
                    if is_asked:
                        return
                    is_asked = True
                    await pubsub.ping()
                    continue
                is_asked = False
                self._take(message)
        finally:
            self._receive_down()
            if changing is not None:
                changing.cancel()
                await asyncio.wait([changing])
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _change(self, pubsub: PubSub) -> None:
        """Pass on what is wanted and what no more."""
        while True:
            changed = await self._changed.take()
            new = changed & self._wanted - self._confirmed
            old = changed - self._wanted
            with suppress(*FAULTS):
                if new:
                    await pubsub.subscribe(*new)
                if old:
                    await pubsub.unsubscribe(*old)
                    self._confirmed -= old
            check_not_cancelled()

    def _take(self, message: Any) -> None:
        match message:
            case [b"message", channel, data]:
                self._receive(channel.decode(), data.decode())
            case [b"subscribe", subscribed, _]:
                channel = subscribed.decode()
                if channel in self._wanted:
                    self._confirmed.add(channel)
                if waiting := self._waiting.pop(channel, None):
                    waiting.set_result(None)
                if channel in self._awaited:
                    self._awaited.discard(channel)
                    if not self._awaited:
                        self.tried.set()
                        self._on_up()

    def _receive_down(self) -> None:
        self._pubsub = None
        self._confirmed.clear()
        for waiting in self._waiting.values():
            waiting.set_exception(LinkDown())
            waiting.exception()
        self._waiting.clear()
