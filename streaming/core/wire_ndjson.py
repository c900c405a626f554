"""NDJSON: one JSON object a line, for other services (CONTRACT "Wires").

`{"event":…,"id":…,"data":…}` in this order, without an `id` key where there is no id. The first
line is an `open` and beats are `ping`: both are the stream's own and stand in no log. The object
has no place for `retry_ms`: `open` says it for the stream, and `shutdown` in its own data.
"""

from streaming.core import codec

_BEAT = b'{"event":"ping","data":{}}\n'


class NdjsonWire:
    """The wire for services and `jq`: `application/x-ndjson`."""

    __slots__ = ()

    name = "ndjson"
    content_type = "application/x-ndjson"

    def preamble(self, *, retry_ms: int, ping_interval: float, id: str | None = None) -> bytes:
        """Encode the `open` event; the id is not said again."""
        opened = {"retry_ms": retry_ms, "ping_interval": ping_interval}
        return self.encode("open", codec.encode(opened))

    def beat(self, *, as_event: bool = False) -> bytes:
        """Encode a `ping` event, as every line must be an object."""
        return _BEAT

    def encode(
        self,
        name: str,
        payload: bytes,
        *,
        id: str | None = None,
        retry_ms: int | None = None,
        is_text: bool = False,
    ) -> bytes:
        """Encode one event as a line, text as a JSON string; see `Wire.encode`."""
        if is_text:
            payload = codec.encode(payload.decode())
        if id is None:
            return b'{"event":%b,"data":%b}\n' % (codec.encode_again(name), payload)
        return b'{"event":%b,"id":%b,"data":%b}\n' % (
            codec.encode_again(name),
            codec.encode_again(id),
            payload,
        )
