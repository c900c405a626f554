"""Requests of any bytes over a socket of their own, and the whole answer to each.

What no HTTP client would send. The answer is read by the standard library alone.
"""

import http.client
import json
import socket
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from tests.viewing import TIMEOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer: the fields as they came, the body without its framing."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The first value of a field, by its lower-case name; empty where there is none."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    def problem(self) -> dict[str, Any]:
        """The problem document that the body is (RFC 9457)."""
        assert self.header("content-type") == "application/problem+json", self
        document: dict[str, Any] = json.loads(self.body)
        assert document["status"] == self.status
        return document


def ask_raw(port: int, request: bytes, *, method: str = "GET") -> Answer:
    """Send these bytes to 127.0.0.1, and read one answer.

    Args:
        port: Where.
        request: Head and body; the connection ends with the answer, whatever it says of that.
        method: What the bytes ask for; the answer to a HEAD has no body.

    Raises:
        http.client.HTTPException: There was none, or it is not HTTP.
    """
    with closing(socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)) as connection:
        with suppress(ConnectionError):  # it may answer before it has read all
            connection.sendall(request)
        response = http.client.HTTPResponse(connection, method=method)
        with closing(response):
            response.begin()
            return Answer(
                status=response.status, headers=response.getheaders(), body=response.read()
            )


def head(method: bytes, target: bytes, *fields: tuple[bytes, bytes]) -> bytes:
    """The head of a request that is its connection's last."""
    names = {name.lower() for name, _ in fields}
    own = [(b"Host", b"127.0.0.1")] if b"host" not in names else []
    all_fields = [*own, (b"Connection", b"close"), *fields]
    lines = [b"%b %b HTTP/1.1" % (method, target), *(b"%b: %b" % field for field in all_fields)]
    return b"\r\n".join([*lines, b"", b""])
