"""One connection to Redis that many tasks share: what they ask is sent together, and in order.

The only place where redis-py's errors are met. Whatever goes wrong is `LinkDown` to who asked: the
server was not reached, or would not, and whether it has done it is unknown.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from streaming.engine.redis_client import FAULTS, REPLY_TIMEOUT, Client, close_client
from streaming.engine.redis_scripts import Script

logger = logging.getLogger("fanstream")

MAX_TOGETHER = 256
MAX_TOGETHER_BYTES = 4_194_304
"""Commands that are sent together at most, and bytes of events after which no more are."""

Command = tuple[Any, ...]


class LinkDown(Exception):
    """Redis was not reached, or refused; whether it has carried the command out is unknown."""


def check_not_cancelled() -> None:
    """Go on with the cancellation of this task, which redis-py may have taken for something else.

    It makes an error of its own of it, or loses it where what it waited for has come just then
    (`asyncio.wait_for` before Python 3.12).

    Raises:
        CancelledError: It was cancelled.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@dataclass(slots=True)
class _Asked:
    command: Command
    script: Script | None
    reply: "asyncio.Future[Any]"


class RedisLink:
    """What is asked of Redis on one connection.

    Args:
        client: A client of its own; it is closed here.
        what: What log lines call the connection.
    """

    def __init__(self, client: Client, *, what: str) -> None:
        self.is_up = True
        """Whether the last try succeeded."""
        self._client = client
        self._what = what
        # Of a client of one server; it connects anew by itself.
        self._connection: Any = None
        self._asked: deque[_Asked] = deque()
        self._sent: list[_Asked] = []
        self._is_ended = False
        self._is_any = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def call(self, *command: Any) -> "asyncio.Future[Any]":
        """Ask something. The reply is had from the future.

        Raises:
            LinkDown: From the future.
        """
        return self._ask(command, None)

    def run_script(self, script: Script, keys: list[str], *args: Any) -> "asyncio.Future[Any]":
        """Have a script run.

        Raises:
            LinkDown: From the future.
        """
        return self._ask((script.sha, len(keys), *keys, *args), script)

    async def run(self) -> None:
        """Send what is asked, until this is cancelled; to whoever asks then the link is down."""
        try:
            while True:
                await self._is_any.wait()
                self._is_any.clear()
                while self._asked:
                    self._sent = self._take_together()
                    await self._send(self._sent)
                    check_not_cancelled()
        finally:
            self._is_ended = True
            for asked in (*self._sent, *self._asked):
                _refuse(asked.reply, LinkDown())
            if isinstance(self._client, Redis) and self._connection is not None:
                await self._client.connection_pool.release(self._connection)
            await close_client(self._client)

    def _take_together(self) -> list[_Asked]:
        """Take what is sent next: what is long would keep all others waiting for their replies."""
        together: list[_Asked] = []
        size = 0
        while self._asked and len(together) < MAX_TOGETHER and size < MAX_TOGETHER_BYTES:
            asked = self._asked.popleft()
            together.append(asked)
            size += sum(len(part) for part in asked.command if isinstance(part, bytes))
        return together

    def _ask(self, command: Command, script: Script | None) -> "asyncio.Future[Any]":
        asked = _Asked(command, script, self._loop.create_future())
        if self._is_ended:
            _refuse(asked.reply, LinkDown())
            return asked.reply
        self._asked.append(asked)
        self._is_any.set()
        return asked.reply

    async def _send(self, together: list[_Asked]) -> None:
        commands = [
            ("EVALSHA", *asked.command) if asked.script else asked.command for asked in together
        ]
        try:
            replies = await self._execute(commands)
            await self._run_unknown(together, replies)
        except FAULTS as exc:
            check_not_cancelled()
            self._receive_fault(exc)
            replies = [exc] * len(together)
        else:
            self._receive_replies(replies)
        for asked, reply in zip(together, replies, strict=True):
            if isinstance(reply, Exception):
                fault = LinkDown(type(reply).__name__)
                fault.__cause__ = reply
                _refuse(asked.reply, fault)
            elif not asked.reply.done():
                asked.reply.set_result(reply)

    async def _execute(self, commands: list[Command]) -> list[Any]:
        if isinstance(self._client, Redis):
            return await self._execute_on_one(self._client, commands)
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies

    async def _execute_on_one(self, client: Redis, commands: list[Command]) -> list[Any]:
        """Do what a pipeline does, which takes twice the CPU time of what is sent together."""
        async with asyncio.timeout(REPLY_TIMEOUT) as bound:
            connection = await self._connect(client)
            try:
                await connection.send_packed_command(connection.pack_commands(commands))
                replies = []
                for name, *_ in commands:
                    replies.append(await _read_reply(client, connection, name))
                    bound.reschedule(self._loop.time() + REPLY_TIMEOUT)
            except BaseException:
                # What is still to come would be taken for the replies to what is sent next.
                await connection.disconnect(nowait=True)
                raise
        return replies

    async def _connect(self, client: Redis) -> Any:
        """Return the connection; it is made anew where the server has closed it."""
        pool: Any = client.connection_pool
        if self._connection is None:
            self._connection = await pool.get_connection()
            return self._connection
        if self._connection.is_connected and await _has_ended(self._connection):
            await self._connection.disconnect(nowait=True)
        if not self._connection.is_connected:
            # Left to the first write, it would go where it went before, whatever Sentinel says.
            await self._connection.connect()
        return self._connection

    async def _run_unknown(self, together: list[_Asked], replies: list[Any]) -> None:
        """Send the scripts whole that the server does not know, or knows no more."""
        unknown = [
            (n, ("EVAL", asked.script.text, *asked.command[1:]))
            for n, (asked, reply) in enumerate(zip(together, replies, strict=True))
            if asked.script is not None and isinstance(reply, NoScriptError)
        ]
        if unknown:
            again = await self._execute([command for _, command in unknown])
            for (n, _), reply in zip(unknown, again, strict=True):
                replies[n] = reply

    def _receive_replies(self, replies: list[Any]) -> None:
        fault = next((reply for reply in replies if isinstance(reply, Exception)), None)
        if fault is not None:
            self._receive_fault(fault)
        elif not self.is_up:
            self.is_up = True
            logger.info("redis (%s): reachable again", self._what)

    def _receive_fault(self, fault: Exception) -> None:
        if self.is_up:
            self.is_up = False
            # A refusal's first word is its kind (RESP), such as OOM; the rest may hold anything.
            kind = str(fault).split(" ", 1)[0] if isinstance(fault, ResponseError) else ""
            logger.warning("redis (%s): %s %s", self._what, type(fault).__name__, kind)


async def _read_reply(client: Redis, connection: Any, name: str) -> Any:
    """Return a reply as the client's callbacks make it; a refusal is a reply too."""
    try:
        reply = await connection.read_response()
    except ReadOnlyError:
        # A master that is none any more: what was its name may be another's by now.
        raise
    except ResponseError as exc:
        return exc
    callback = client.response_callbacks.get(name)
    return callback(reply) if callback else reply


async def _has_ended(connection: Any) -> bool:
    """Say whether there is something to read where nothing is owed: the end, or worse."""
    try:
        return bool(await connection.can_read())
    except FAULTS:
        return True


def _refuse(reply: "asyncio.Future[Any]", fault: LinkDown) -> None:
    """Say that there is no reply; nobody is told where who asked has gone."""
    if not reply.done():
        reply.set_exception(fault)
        reply.exception()
