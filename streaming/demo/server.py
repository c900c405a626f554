"""The demo upstreams as a server: opened on a port, closed at once.

Knows sockets and their life, and nothing of what is answered (`routes`). It is bound to the event
loop that opens it; an application in another process reaches it by its address, which
`python -m streaming.demo` prints.
"""

import asyncio
from typing import Self

from streaming.demo.http import Connection
from streaming.demo.routes import routes

# Connections that come at once, such as fifty runs of ten calls: one that finds no room is tried
# again by its kernel, and a whole second later.
_BACKLOG = 1024


class DemoUpstreams:
    """The demo upstreams, open as long as the `async with` block runs.

    Leaving the block closes the port and cuts the answers that are still under way.

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.

    Raises:
        OSError: On entering, where the address cannot be listened on.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port = port
        self._handle = routes()
        self._connections: set[Connection] = set()

    @property
    def base_url(self) -> str:
        """Where they answer, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._handle, self._connections),
            self.host,
            self.port,
            backlog=_BACKLOG,
        )
        # A name may stand for several addresses, each then with a port of its own: take one.
        self.host, self.port = self._server.sockets[0].getsockname()[:2]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.lost.wait()
        await self._server.wait_closed()
