"""The word to drain, from the parent that started this process (DESIGN "Drain").

A server's workers get no signal that all of them pass on, and their shutdown hooks run after the
streams that they should have ended. So each engine connects to the parent's Unix socket, and drains
when that says so, or when it is gone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger("fanstream")

CONTROL_VARIABLE = "FANSTREAM_CONTROL"
"""The environment variable that names the parent's socket."""


async def follow_control(path: str, *, drain: Callable[[], Awaitable[None]]) -> None:
    """Wait for the parent's word, drain, and tell it by closing the connection.

    Args:
        path: The parent's socket.
        drain: Ends all in order.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError as exc:
        logger.warning("no word from the parent: %s", exc.strerror)
        return
    try:
        await reader.read(1)
        await drain()
    finally:
        writer.close()
