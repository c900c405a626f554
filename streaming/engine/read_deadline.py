"""A deadline for a thread that reads a request's body, which would wait for ever for a client.

A WSGI server's body has no time limit, and one that counted each read alone could be spun out byte
by byte. At the deadline the receiving half of the client's socket is shut down: the read then ends,
and an answer can still be sent. Where a server gives no socket the body is as slow as it lets it.
"""

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from streaming.core.errors_request import BodyTooSlow
from streaming.engine.client_watch import SOCKETS


class ReadDeadline:
    """Ends what reads from a client, when it takes longer than the block may.

    Args:
        environ: The request's, in which some servers give the socket.
        timeout: Seconds for the block.
    """

    def __init__(self, environ: Mapping[str, Any], *, timeout: float) -> None:
        self._timeout = timeout
        self._sockets = [environ[key] for key in SOCKETS if key in environ]
        self._timer = threading.Timer(timeout, self._receive_timeout)
        self._timer.daemon = True
        self._has_passed = False

    def __enter__(self) -> Self:
        if self._sockets:
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._timer.cancel()

    def check(self) -> None:
        """Say whether the deadline has passed within the block.

        Raises:
            BodyTooSlow: It has; what was read is not whole.
        """
        if self._has_passed:
            raise BodyTooSlow(self._timeout)

    def _receive_timeout(self) -> None:
        self._has_passed = True
        for each in self._sockets:
            with suppress(OSError):  # the client has left
                # Not a TLS socket's own, which would send what follows in the clear.
                socket.socket.shutdown(each, socket.SHUT_RD)
