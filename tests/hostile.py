"""Clients that mean no good, or know no better: slow ones, rude ones, those that speak no HTTP."""

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.leaving import reset
from tests.serving import LOOPBACK
from tests.viewing import TIMEOUT

_DRIP_INTERVAL = 0.2
_HELLO = (
    bytes.fromhex("1603010067010000630303") + bytes(range(32)) + bytes.fromhex("00000213010100")
)
_HEAD = b"GET /healthz HTTP/1.1\r\nHost: test\r\n"

GARBAGE = {
    "random": random.Random(1).randbytes(4096),
    "zeros": bytes(4096),
    "lines": b"\r\n" * 2000,
    "tls": _HELLO,
    "h2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "http09": b"GET /healthz\r\n\r\n",
    "http3": b"GET /healthz HTTP/3.7\r\n\r\n",
    "long-line": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    "long-header": _HEAD + b"X-Long: " + b"a" * 200_000 + b"\r\n\r\n",
    "many-headers": _HEAD + b"X: y\r\n" * 20_000 + b"\r\n",
    "no-colon": _HEAD + b"nonsense\r\n\r\n",
    "nul": b"GET /health\0z HTTP/1.1\r\nHost: te\0st\r\n\r\n",
    "negative-length": b"POST /feeds/quick HTTP/1.1\r\nHost: test\r\nContent-Length: -5\r\n\r\nhi",
    "huge-length": b"POST /feeds/quick HTTP/1.1\r\nHost: t\r\nContent-Length: 9"
    + b"9" * 40
    + b"\r\n\r\n",
    "two-lengths": b"POST /feeds/quick HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n"
    b"Content-Length: 3\r\n\r\n{}x",
    "both-framings": b"POST /feeds/quick HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad-chunk": b"POST /feeds/quick HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
    "cut-chunk": b"POST /feeds/quick HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nffff\r\nhello",
}
"""What is sent instead of a request, or behind the beginning of one."""


def send_garbage(port: int, garbage: bytes, *, is_rude: bool) -> None:
    """Send this, read what comes for it if anything, and leave, by a reset where it is rude."""
    with socket.create_connection((LOOPBACK, port), timeout=TIMEOUT) as connection:
        with suppress(ConnectionError):
            connection.sendall(garbage)
            connection.settimeout(0.2)
            with suppress(TimeoutError):
                connection.recv(65536)
        if is_rude:
            with suppress(OSError):
                reset(connection)


@contextmanager
def dripping(port: int, head: bytes, *, clients: int) -> Iterator[None]:
    """Have so many clients send a head byte by byte, without its end, for the block."""
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection((LOOPBACK, port), timeout=TIMEOUT))
            for _ in range(clients)
        ]
        ended = threading.Event()

        def drip() -> None:
            n = 0
            while not ended.wait(_DRIP_INTERVAL):
                for connection in connections:
                    with suppress(OSError):  # it was sent away
                        connection.send(head[n : n + 1] or b"x")
                n += 1

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextmanager
def sipping(port: int, request: bytes, *, clients: int) -> Iterator[list[socket.socket]]:
    """Have so many clients ask for something and read it byte by byte, for the block."""
    with ExitStack() as stack:
        connections = []
        for _ in range(clients):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
            connection.settimeout(TIMEOUT)
            connection.connect((LOOPBACK, port))
            connection.sendall(request)
            connections.append(connection)
        ended = threading.Event()

        def sip() -> None:
            while not ended.wait(_DRIP_INTERVAL):
                for connection in connections:
                    with suppress(OSError):
                        connection.recv(1)

        thread = threading.Thread(target=sip)
        thread.start()
        try:
            yield connections
        finally:
            ended.set()
            thread.join()
