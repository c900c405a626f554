"""A relay between processes and Redis that loses a reply: what was asked is done, and unheard."""

import socket
from contextlib import suppress
from threading import Event

from tests.relay import Relay


class LosingRelay(Relay):
    """See `Relay`; `lose` says which reply."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.has_lost = Event()
        """Set once the reply was lost."""
        self._word = b""
        self._deaf: set[socket.socket] = set()

    @property
    def redis_url(self) -> str:
        """What `[log] url` is."""
        return f"redis://{self.base_url.partition('//')[2]}/0"

    def lose(self, word: str) -> None:
        """Cut the next connection on which a word is sent, before the reply comes back."""
        self.has_lost.clear()
        self._word = word.encode()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if sink in self._deaf:
                    self._deaf.discard(sink)
                    self.has_lost.set()
                    break
                if self._word and self._word in data and source.getpeername() != self._to:
                    self._word = b""
                    self._deaf.add(source)
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            source.shutdown(socket.SHUT_RDWR)
        self._sockets.remove(source)
        source.close()
