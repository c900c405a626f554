"""Lines out of a stream of bytes: bounded, in linear time, whatever the cuts of its pieces.

A line ends at LF or CRLF; in an event stream (HTML standard, section 9.2.5) at CR alone too. This
module knows nothing of characters: in UTF-8 the bytes of CR and LF never stand inside another one.
"""

from streaming.core.errors_upstream import TooLarge

# What is cut at once, so that an input far over the bound is not copied whole before it is refused.
_WINDOW_BYTES = 65536


class LineSplitter:
    """Split a stream of bytes into its lines.

    Args:
        max_line_bytes: The longest line, in bytes without its end. One that is longer raises
            `TooLarge` as soon as that many bytes and one are in, and is not held any further; the
            splitter is of no use after that, every call raises again.
        cr_ends: A CR alone ends a line too. The line is then handed over at its CR, and an LF that
            follows, be it in the next input, belongs to that end.
    """

    __slots__ = ("_after_cr", "_cr_ends", "_is_over", "_max_line_bytes", "_pending")

    def __init__(self, *, max_line_bytes: int, cr_ends: bool = False) -> None:
        self._max_line_bytes = max_line_bytes
        self._cr_ends = cr_ends
        self._after_cr = False
        self._is_over = False
        self._pending = bytearray()

    def decode(self, data: bytes) -> list[bytes]:
        """Take the next input and answer the lines that it ends, without their ends.

        Raises:
            TooLarge: A line is over `max_line_bytes`. Lines before it in the same input are handed
                over first, and the next call raises: what is read never depends on the cuts.
        """
        lines: list[bytes] = []
        for start in range(0, len(data), _WINDOW_BYTES):
            if not self._is_over:
                self._take(self._cut(data[start : start + _WINDOW_BYTES]), lines)
        if not lines:
            self._refuse_if_over()
        return lines

    def flush(self) -> list[bytes]:
        """Answer the last line where it has no end, at the end of the stream.

        Raises:
            TooLarge: As in `decode`.
        """
        line = bytes(self._pending)
        self._pending.clear()
        # A CR that could have been half of a CRLF is now part of the line.
        self._is_over = self._is_over or len(line) > self._max_line_bytes
        self._refuse_if_over()
        return [line] if line else []

    def _refuse_if_over(self) -> None:
        if self._is_over:
            raise TooLarge("piece", self._max_line_bytes)

    def _cut(self, data: bytes) -> list[bytes]:
        """Cut at the line ends; the last piece is what follows the last of them."""
        if not self._cr_ends:
            return data.split(b"\n")
        if self._after_cr:
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        # On bytes, unlike on str, splitlines knows CR, LF and CRLF only.
        pieces = data.splitlines()
        if not data or data.endswith((b"\r", b"\n")):
            pieces.append(b"")
        return pieces

    def _take(self, pieces: list[bytes], lines: list[bytes]) -> None:
        rest = pieces.pop()
        if pieces and self._pending:
            pieces[0] = self._joined(pieces[0])
        if not self._are_lines(pieces):
            pieces = [piece.removesuffix(b"\r") for piece in pieces]
            over = next((n for n, piece in enumerate(pieces) if self._is_long(piece)), None)
            if over is not None:
                lines += pieces[:over]
                self._is_over = True
                return
        lines += pieces
        self._pending += rest
        if len(self._pending) - self._pending.endswith(b"\r") > self._max_line_bytes:
            self._is_over = True
            self._pending.clear()

    def _are_lines(self, pieces: list[bytes]) -> bool:
        """Say at the speed of C whether all are lines as they stand, as nearly always."""
        if not pieces:
            return True
        return not self._is_long(max(pieces, key=len)) and b"\r" not in b"".join(pieces)

    def _is_long(self, line: bytes) -> bool:
        return len(line) > self._max_line_bytes

    def _joined(self, piece: bytes) -> bytes:
        self._pending += piece
        line = bytes(self._pending)
        self._pending.clear()
        return line
