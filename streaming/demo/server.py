"""The demo upstreams as a server: opened on a port, closed at once.

Knows sockets and their life, and nothing of what is answered (`routes`). It is bound to the event
loop that opens it; an application in another process reaches it by its address, which
`python -m streaming.demo` prints.
"""

from typing import Self

from aiohttp import web

from streaming.demo.routes import MAX_REQUEST_BYTES, routes

# aiohttp takes 0 for "wait forever"; this is what it leaves a running answer before it cuts it.
_GRACE = 0.01

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
        application = web.Application(client_max_size=MAX_REQUEST_BYTES)
        application.add_routes(routes())
        # A handler ends with its client, as a careful service does: no tokens for nobody.
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE
        )

    @property
    def base_url(self) -> str:
        """Where they answer, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.host, self.port, backlog=_BACKLOG).start()
        except BaseException:
            await self._runner.cleanup()
            raise
        # A name may stand for several addresses, each then with a port of its own: take one.
        self.host, self.port = self._runner.addresses[0][:2]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()
