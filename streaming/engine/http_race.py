"""Connections to a host with several addresses: the first that is made is taken (RFC 8305).

The next address is tried beside one that is silent, so that none takes all the time there is.
asyncio's `create_connection` can do so, and uvloop's cannot. Both take a socket that is connected
already, as aiohappyeyeballs makes them; but uvloop 0.23 closes that one twice where its transport
is aborted as it is made, the second time by its number, which may be another's by then.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from streaming.engine.http_connection import HttpConnection

NEXT_ADDRESS_DELAY = 0.25
"""Seconds for which an address may be silent until the next is tried beside it (RFC 8305, 5)."""

Connect = Callable[[str], Awaitable[HttpConnection]]


def alternate(addresses: Sequence[str]) -> list[str]:
    """Return the addresses with IPv6 and IPv4 by turns, else in their order (RFC 8305, 4)."""
    is_six = ":" in addresses[0]
    first = [each for each in addresses if (":" in each) is is_six]
    second = [each for each in addresses if (":" in each) is not is_six]
    pairs = [each for pair in zip(first, second, strict=False) for each in pair]
    return [*pairs, *first[len(second) :], *second[len(first) :]]


async def connect_first(addresses: Sequence[str], connect: Connect) -> HttpConnection:
    """Connect to the first address that answers; of those that also do, none stays open.

    Args:
        addresses: At least one, the best first.
        connect: Connects to one, or raises OSError; when cancelled, it leaves nothing open.

    Raises:
        OSError: No address would have it; of the last one.
    """
    if len(addresses) == 1:
        return await connect(addresses[0])
    race = _Race(connect)
    try:
        await race.run(alternate(addresses))
        return race.winner()
    finally:
        race.close()


class _Race:
    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._made: list[HttpConnection] = []
        self._failures: list[OSError] = []

    async def run(self, addresses: Sequence[str]) -> None:
        """Try one after the other, until one is made or none is left."""
        running: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            for address in addresses:
                running.add(group.create_task(self._try(address)))
                await _wait_any(running, within=NEXT_ADDRESS_DELAY)
                if self._made:
                    break
            while running and not self._made:
                await _wait_any(running, within=None)
            for each in running:
                each.cancel()

    def winner(self) -> HttpConnection:
        if not self._made:
            raise self._failures[-1]
        return self._made.pop(0)

    def close(self) -> None:
        """Close what nobody took, and forget the failures: they hold who holds them."""
        for connection in self._made:
            connection.close()
        self._failures.clear()

    async def _try(self, address: str) -> None:
        try:
            self._made.append(await self._connect(address))
        except OSError as exc:
            self._failures.append(exc)


async def _wait_any(running: set[asyncio.Task[None]], *, within: float | None) -> None:
    """Wait until one has ended, and take out those that have."""
    done, _ = await asyncio.wait(running, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    running -= done
