"""The word to drain (DESIGN "Drain"), from whoever ends this process.

A server's workers get no signal that all of them pass on, and their shutdown hooks run after the
streams that they should have ended. So each engine is told: by the parent that started its process,
over that one's Unix socket, where the parent's end is the word too; or, under a server's own
command, by that server's hook in this very process (`Ending`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger("fanstream")

CONTROL_VARIABLE = "FANSTREAM_CONTROL"
"""The environment variable that names the parent's socket."""

LOOK_INTERVAL = 0.1
"""Seconds between two looks at whether this process is being ended."""


class Ending:
    """What a server's hook knows of the end of its process, for the engines in it.

    It is looked at rather than told: a signal's handler can hand nothing to another thread's loop
    without a risk, and one look costs less than a microsecond.

    Args:
        has_begun: Says whether the process is being ended; called on the engine's loop.
    """

    def __init__(self, has_begun: Callable[[], bool]) -> None:
        self.has_begun = has_begun
        self.is_hurried = False

    def hurry(self) -> None:
        """Say that the end shall wait for no run any more. From any thread, or a signal's handler.

        The end has to have begun.
        """
        self.is_hurried = True


# A server's hook and the application know nothing of each other but that they share a process.
_endings: list[Ending] = []


def set_ending(ending: Ending) -> None:
    """Have the engines of this process, those to come included, drain when its end begins."""
    _endings[:] = [ending]


def find_ending() -> Ending | None:
    """Return what tells of this process's end, where a hook has set it."""
    return _endings[0] if _endings else None


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


async def follow_ending(
    ending: Ending, *, drain: Callable[[], Awaitable[None]], hurry: Callable[[], None]
) -> None:
    """Wait for the process's end to begin, and drain.

    Args:
        ending: What tells of it.
        drain: Ends all in order.
        hurry: Has `drain` wait for no run any more.
    """
    while not ending.has_begun():  # noqa: ASYNC110 - see `Ending`
        await asyncio.sleep(LOOK_INTERVAL)
    async with asyncio.TaskGroup() as group:
        hurrying = group.create_task(_hurry(ending, hurry=hurry))
        await drain()
        hurrying.cancel()


async def _hurry(ending: Ending, *, hurry: Callable[[], None]) -> None:
    while not ending.is_hurried:  # noqa: ASYNC110 - see `Ending`
        await asyncio.sleep(LOOK_INTERVAL)
    hurry()
