"""Streams as bare sockets: a client that can stop reading, close one side, or just go."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.serving import LOOPBACK
from tests.viewing import TIMEOUT

# Small, so that a stream stands still soon after its client stops to read.
_RECEIVE_BUFFER_BYTES = 1 << 16

# What Linux writes of a connection's state in its table.
_ESTABLISHED = "01"

_LAST_CHUNK = b"\r\n0\r\n\r\n"


class NoStreamError(AssertionError):
    """The answer was not a stream."""


@contextmanager
def stream_socket(port: int, target: str) -> Iterator[socket.socket]:
    """Ask for a stream, and give its connection once the head has come; what follows is unread.

    Raises:
        NoStreamError: The answer was not a stream.
    """
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        connection.settimeout(TIMEOUT)
        connection.connect((LOOPBACK, port))
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = connection.recv(1)
            assert byte, f"closed after {head!r}"
            head += byte
        if not head.startswith(b"HTTP/1.1 200 "):
            raise NoStreamError(head)
        yield connection


def read_to_end(connection: socket.socket) -> bytes:
    """Read the rest of a chunked body, to its last chunk or to where it was broken off."""
    seen = b""
    with suppress(ConnectionError):
        while not seen.endswith(_LAST_CHUNK) and (piece := connection.recv(1 << 16)):
            seen += piece
    return seen


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    """Read to the end of the event, line or chunk in which `mark` stands, and no further."""
    seen = b""
    while mark not in seen or not seen.endswith(b"\n"):
        piece = connection.recv(1 << 16)
        assert piece, f"closed after {seen!r}"
        seen += piece
    return seen


def is_held(connection: socket.socket) -> bool:
    """Say whether a client's connection is one at the other end too, which is on this machine.

    What a client cannot see while it does not read: Linux says so.
    """
    ends = [connection.getpeername()[1], connection.getsockname()[1]]
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, remote, state, *_ = line.split()
            ports = [int(address.rpartition(":")[2], 16) for address in (local, remote)]
            if (ports, state) == (ends, _ESTABLISHED):
                return True
    return False
