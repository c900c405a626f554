"""Notices that a WSGI client has gone where the server tells, but shows no socket: waitress.

The server's own means is a function that says whether the client has gone; it is asked now and
then, on the engine's loop, as no wake-up comes with it.
"""

import asyncio
from collections.abc import Callable

from streaming.engine.viewer import Viewer

PROBE_INTERVAL = 0.5
"""Seconds between two questions."""


class ProbeWatch:
    """Asks for one viewer whether its client has gone. Made, used and closed on the engine's loop.

    Args:
        has_gone: The server's function.
        viewer: Told when its client has gone.
    """

    def __init__(self, has_gone: Callable[[], bool], *, viewer: Viewer) -> None:
        self._loop = asyncio.get_running_loop()
        self._has_gone = has_gone
        self._viewer = viewer
        self._timer = self._loop.call_later(PROBE_INTERVAL, self._ask)

    def close(self) -> None:
        """End the watch; harmless when it has ended."""
        self._timer.cancel()

    def _ask(self) -> None:
        if self._has_gone():
            self._viewer.receive_gone()
        else:
            self._timer = self._loop.call_later(PROBE_INTERVAL, self._ask)
