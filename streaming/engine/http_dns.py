"""Addresses of hosts. Calls that ask for the same one at a time share the answer.

Nothing is kept beyond that: how long an address holds is for the system's resolver to know. The
loop asks it in one of few threads; a thousand calls that begin together would wait in line there.
"""

import asyncio
import contextvars
import ipaddress
import socket


class Addresses:
    """Asks for addresses. Used on one loop."""

    def __init__(self) -> None:
        self._asking: dict[str, asyncio.Task[list[str]]] = {}

    async def find(self, host: str) -> list[str]:
        """Return the addresses of a host, the best first, as the system sorts them (RFC 6724).

        Args:
            host: A name in ASCII, an IPv4 address, or an IPv6 address in brackets.

        Raises:
            OSError: It is not known.
            UnicodeError: It is no name that DNS could be asked for.
        """
        if _is_address(host):
            return [host.strip("[]")]
        asking = self._asking.get(host) or self._ask(host)
        try:
            # Whoever leaves does not take the answer from the others.
            await asyncio.wait([asking])
            if asking.cancelled():
                raise OSError("no address is looked for any more")
            return asking.result()
        finally:
            del asking  # an exception holds this frame, and must not hold itself

    async def aclose(self) -> None:
        """Wait for no answer any more."""
        asking = list(self._asking.values())
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _ask(self, host: str) -> asyncio.Task[list[str]]:
        # In an empty context: it must not hold the request that happens to need it first.
        empty = contextvars.Context()
        asking = asyncio.get_running_loop().create_task(ask_system(host), context=empty)
        self._asking[host] = asking
        asking.add_done_callback(lambda task: self._end(host, task), context=empty)
        return asking

    def _end(self, host: str, asking: asyncio.Task[list[str]]) -> None:
        del self._asking[host]
        if not asking.cancelled():
            # Nobody may have waited for it, which asyncio would log as a mistake.
            asking.exception()


async def ask_system(host: str) -> list[str]:
    """Return the addresses that the system's resolver has for a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [address for *_, (address, *_) in found if isinstance(address, str)]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
