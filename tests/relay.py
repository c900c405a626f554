"""A TCP relay between a client and a server, whose connections can be cut or frozen.

For what a failing network does to a stream. Cut, the server is told that its client has gone, the
client that its stream has ended before its end; frozen, neither is told anything.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Self

_LOOPBACK = "127.0.0.1"


class Relay:
    """Relays connections to a port on 127.0.0.1 while the block runs, each by two threads."""

    def __init__(self, port: int) -> None:
        self._to = (_LOOPBACK, port)
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._is_cut = False
        self._flows = threading.Event()
        self._flows.set()

    @property
    def base_url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://{_LOOPBACK}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._listener = socket.create_server((_LOOPBACK, 0))
        self._start(self._accept)
        return self

    def __exit__(self, *exc_info: object) -> None:
        # Closing alone would leave `accept` waiting.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        self._flows.set()
        self._end_all()
        for thread in self._threads:
            thread.join()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """End all connections on both sides, and for the block every new one too."""
        self._is_cut = True
        self._end_all()
        yield
        self._is_cut = False

    @contextmanager
    def freeze(self) -> Iterator[None]:
        """Hold back for the block what either side sends, and close nothing."""
        self._flows.clear()
        yield
        self._flows.set()

    def _end_all(self) -> None:
        for each in list(self._sockets):
            _shut(each)

    def _start(self, target: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._is_cut:
                    client.close()
                    continue
                server = socket.create_connection(self._to)
                self._sockets += [client, server]
                self._start(self._pump, client, server)
                self._start(self._pump, server, client)
                if self._is_cut:
                    self._end_all()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
        _shut(sink)
        self._sockets.remove(source)
        source.close()


def _shut(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
