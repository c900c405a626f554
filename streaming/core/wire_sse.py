"""Server-Sent Events: writing an event stream (HTML standard, section 9.2.5).

The reading side is `sse_decoder`. CR, LF and CRLF are the only line breaks here, as they are in the
standard; U+2028, U+0085 and what else `str.splitlines` believes in stay inside their line. A line
break in text starts another `data:` line, and a reader gets each of them back as LF.
"""


class SseWire:
    """The wire for browsers: `text/event-stream`."""

    __slots__ = ()

    name = "sse"
    content_type = "text/event-stream"

    def preamble(self, *, retry_ms: int, ping_interval: float, id: str | None = None) -> bytes:
        """Encode lines that dispatch nothing: a comment, `retry:` and the id, if there is one.

        The id is for clients that follow section 9.2.6 to the letter. These begin each connection
        with an empty id and take it over at the first blank line, so that a `ping` and a second
        break before the next event would make them start from nothing. There is no blank line here
        nor behind a beat: httpx-sse, and what is made after it, would make an empty event of it.
        """
        resumed = "" if id is None else f"id: {id}\n"
        return f": a beat every {ping_interval:g} s\nretry: {retry_ms}\n{resumed}".encode()

    def beat(self, *, as_event: bool = False) -> bytes:
        """Encode a comment, or `event: ping` where the page must see it."""
        return b"event: ping\ndata: {}\n\n" if as_event else b": beat\n"

    def encode(
        self,
        name: str,
        payload: bytes,
        *,
        id: str | None = None,
        retry_ms: int | None = None,
        is_text: bool = False,
    ) -> bytes:
        """Encode one event as a block of lines; see `Wire.encode`."""
        if is_text:
            payload = _on_data_lines(payload)
        head = f"event: {name}\ndata: " if id is None else f"id: {id}\nevent: {name}\ndata: "
        if retry_ms is not None:
            head = f"retry: {retry_ms}\n{head}"
        return head.encode() + payload + b"\n\n"


def _on_data_lines(text: bytes) -> bytes:
    # CRLF first, or it would count twice.
    text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text.replace(b"\n", b"\ndata: ")
