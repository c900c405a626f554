r"""Text for a person who reads along in a terminal (CONTRACT "Wires").

One event a line, nothing cut: when, who, what, and the data as compact JSON. What comes from an
upstream must not drive the terminal, so every control character of the line is written as `\u001b`,
and so is what turns the direction of writing or breaks the line in Unicode. In the JSON it stays
valid JSON; in text a backslash is left as it is, so the line is not for programs.
An event whose data is not what a run says of itself is written as it is: its name and its data.
"""

import re
from typing import Any

import msgspec

# C0, DEL, C1; U+2028 and U+2029; the marks, embeddings, overrides and isolates of writing that runs
# both ways.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class TextWire:
    """The wire for `curl -N`: `text/plain`."""

    __slots__ = ()

    name = "text"
    content_type = "text/plain; charset=utf-8"

    def preamble(self, *, retry_ms: int, ping_interval: float, id: str | None = None) -> bytes:
        """Encode an empty line: a person has no use for the rest."""
        return b"\n"

    def beat(self, *, as_event: bool = False) -> bytes:
        """Encode an empty line."""
        return b"\n"

    def encode(
        self,
        name: str,
        payload: bytes,
        *,
        id: str | None = None,
        retry_ms: int | None = None,
        is_text: bool = False,
    ) -> bytes:
        """Encode one event as a line; see `Wire.encode`. Id and `retry_ms` are left out."""
        line = _line(name, payload, is_text=is_text)
        return _UNSAFE.sub(_escape, line).encode() + b"\n"


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    return _SHORT.get(char) or f"\\u{ord(char):04x}"


def _line(name: str, payload: bytes, *, is_text: bool) -> str:
    decoder = None if is_text else _DECODERS.get(name)
    if decoder is not None:
        try:
            return str(decoder.decode(payload))
        except (msgspec.DecodeError, RecursionError):
            pass  # an event of a user's own that only shares the name, or one nested very deeply
    return f"{name}  {payload.decode()}"


def _columns(at: float, *columns: str) -> str:
    return "  ".join((f"+{at:.3f}s", *columns))


def _json(value: msgspec.Raw) -> str:
    return bytes(value).decode()


class _Start(msgspec.Struct):
    at: float
    run: str
    feed: str
    params: msgspec.Raw
    upstreams: list[str]

    def __str__(self) -> str:
        calls = ", ".join(self.upstreams)
        return _columns(self.at, self.feed, "start", _json(self.params), calls, f"run {self.run}")


class _Attempt(msgspec.Struct):
    at: float
    upstream: str
    attempt: int
    code: str
    retry_in: float
    status: int | None = None

    def __str__(self) -> str:
        why = self.code if self.status is None else f"{self.code} {self.status}"
        again = f"attempt {self.attempt} failed, again in {self.retry_in:.3f}s"
        return _columns(self.at, self.upstream, why, again)


class _Chunk(msgspec.Struct):
    at: float
    upstream: str
    n: int
    data: msgspec.Raw

    def __str__(self) -> str:
        return _columns(self.at, self.upstream, f"#{self.n}", _json(self.data))


class _Result(msgspec.Struct):
    at: float
    upstream: str
    status: int | None  # of a source that is code: none
    body: msgspec.Raw
    done: int
    of: int
    chunks: int | None = None

    def __str__(self) -> str:
        body = _json(self.body) if self.chunks is None else f"{self.chunks} chunks"
        order = f"({self.done}/{self.of})"
        status = "ok" if self.status is None else str(self.status)
        return _columns(self.at, self.upstream, status, body, order)


class _Failure(msgspec.Struct):
    at: float
    upstream: str
    code: str
    message: str
    attempts: int
    done: int
    of: int

    def __str__(self) -> str:
        tries = f", {self.attempts} attempts" if self.attempts > 1 else ""
        order = f"({self.done}/{self.of})"
        return _columns(
            self.at, self.upstream, "failed", f"{self.code}: {self.message}{tries}", order
        )


class _Done(msgspec.Struct):
    at: float
    reason: str
    ok: int
    failed: int
    cancelled: int

    def __str__(self) -> str:
        counts = f"{self.ok} ok, {self.failed} failed, {self.cancelled} cancelled"
        return _columns(self.at, "done", self.reason, counts)


class _Reset(msgspec.Struct):
    reason: str

    def __str__(self) -> str:
        return f"reset  {self.reason}"


class _Shutdown(msgspec.Struct):
    reason: str
    reconnect_ms: int

    def __str__(self) -> str:
        return f"shutdown  {self.reason}  come back in {self.reconnect_ms / 1000:g} s"


_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    "start": msgspec.json.Decoder(_Start),
    "attempt": msgspec.json.Decoder(_Attempt),
    "chunk": msgspec.json.Decoder(_Chunk),
    "result": msgspec.json.Decoder(_Result),
    "failure": msgspec.json.Decoder(_Failure),
    "done": msgspec.json.Decoder(_Done),
    "reset": msgspec.json.Decoder(_Reset),
    "shutdown": msgspec.json.Decoder(_Shutdown),
}
