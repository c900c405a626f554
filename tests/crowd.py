"""Many viewers of one run, in one thread: those that read, and those that are deaf.

Readers say how long each event was on its way, by the clock that its upstream has put into it (the
`monotonic` of `/ndjson`). What a deaf one has not read is read at last by `read_out`.
"""

import re
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.serving import LOOPBACK
from tests.viewing import TIMEOUT

_STAMP = re.compile(rb'"monotonic":([0-9.]+)')
_ID = re.compile(rb"^id: (\S+-(\d+))\n", re.MULTILINE)
_DEAF_BUFFER_BYTES = 1 << 16
_READ_BYTES = 1 << 18


@dataclass(slots=True, kw_only=True)
class Crowd:
    """The viewers of one run.

    Attributes:
        readers: What each of those that read has seen.
        deaf: Connections of those that have read nothing but the head of their stream.
    """

    readers: list["Reader"] = field(default_factory=list)
    deaf: list[socket.socket] = field(default_factory=list)

    def read(self) -> None:
        """Read until all readers have seen `done`.

        Raises:
            TimeoutError: Nothing came for `TIMEOUT`.
        """
        with selectors.DefaultSelector() as selector:
            for reader in self.readers:
                selector.register(reader.connection, selectors.EVENT_READ, reader)
            while selector.get_map():
                ready = selector.select(TIMEOUT)
                if not ready:
                    raise TimeoutError(f"{len(selector.get_map())} readers wait")
                for key, _ in ready:
                    if key.data.receive() or key.data.is_done:
                        selector.unregister(key.fileobj)

    @property
    def delays(self) -> list[float]:
        """Seconds that each event was on its way to each reader, sorted."""
        return sorted(delay for reader in self.readers for delay in reader.delays)


@dataclass(slots=True)
class Reader:
    """One viewer that reads.

    Attributes:
        numbers: The numbers of the events that it has seen, in their order.
        last_id: The id of the last of them.
        delays: Seconds that each chunk was on its way.
        is_done: Whether it has seen `done`.
    """

    connection: socket.socket
    numbers: list[int] = field(default_factory=list)
    last_id: str = ""
    delays: list[float] = field(default_factory=list)
    is_done: bool = False
    _rest: bytes = b""

    def receive(self) -> bool:
        """Take what has come; True where the stream has ended."""
        data = self.connection.recv(_READ_BYTES)
        now = time.monotonic()
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            self._take(block + b"\n", now)
        return not data

    def _take(self, block: bytes, now: float) -> None:
        # The first block of a stream that is resumed begins with the id that was sent.
        if not (ids := _ID.findall(block)):
            return
        id, n = ids[-1]
        self.last_id = id.decode()
        self.numbers.append(int(n))
        self.is_done = b"event: done\n" in block
        if stamp := _STAMP.search(block, 0, 500):
            self.delays.append(now - float(stamp[1]))


@contextmanager
def crowd(port: int, target: str, *, readers: int, deaf: int) -> Iterator[Crowd]:
    """Open so many streams at a target, and wait until each has its head.

    Args:
        port: Where the application listens on 127.0.0.1.
        target: What is asked for, as SSE.
        readers: How many are to be read by `Crowd.read`.
        deaf: How many are not.
    """
    with ExitStack() as stack:
        connections = [stack.enter_context(socket.socket()) for _ in range(readers + deaf)]
        for n, connection in enumerate(connections):
            if n >= readers:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _DEAF_BUFFER_BYTES)
            ask(connection, port, target)
        for connection in connections:
            # The preamble is not read by half, nor anything beyond it.
            assert connection.recv(12, socket.MSG_PEEK).endswith(b" 200")
        listening = [Reader(connection) for connection in connections[:readers]]
        yield Crowd(readers=listening, deaf=connections[readers:])


def ask(connection: socket.socket, port: int, target: str, *, last_id: str = "") -> None:
    """Connect, and ask for a stream, be it resumed."""
    connection.settimeout(TIMEOUT)
    connection.connect((LOOPBACK, port))
    resumed = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
    # A chunk's length may stand before an event, and never in it: each is written at once.
    head = f"GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{resumed}\r\n"
    connection.sendall(head.encode())


def read_out(reader: Reader) -> None:
    """Read a stream to its end, whichever way it ends."""
    try:
        while not reader.receive():
            pass
    except ConnectionResetError:
        pass
