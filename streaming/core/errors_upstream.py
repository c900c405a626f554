"""What is wrong with an upstream, or the way to it: each error has a code, for a `failure` event.

The whole tree of errors is drawn in `streaming.core.errors`.
"""

from dataclasses import dataclass
from typing import ClassVar

from streaming.core.errors import FanstreamError


@dataclass(eq=False)
class UpstreamError(FanstreamError):
    """An upstream that was given up, or one attempt at it that failed."""

    code: ClassVar[str]


@dataclass(eq=False)
class ConnectFailed(UpstreamError):
    code = "connect"

    def __str__(self) -> str:
        return "no connection could be made"


@dataclass(eq=False)
class TimedOut(UpstreamError):
    """A time that ran out.

    Args:
        waiting_for: `connection`, `head`, `body`, or `end` for the whole.
        seconds: How long was waited.
    """

    code = "timeout"
    waiting_for: str
    seconds: float

    def __str__(self) -> str:
        return f"waited {self.seconds:g} s for the {self.waiting_for}"


@dataclass(eq=False)
class BadStatus(UpstreamError):
    code = "status"
    status: int

    def __str__(self) -> str:
        return f"answered with status {self.status}"


@dataclass(eq=False)
class ProtocolBroken(UpstreamError):
    code = "protocol"

    def __str__(self) -> str:
        return "what was answered is not valid HTTP"


@dataclass(eq=False)
class TooLarge(UpstreamError):
    """A bound of the answer that was passed.

    Args:
        what: `body`, `piece`, or `log` for all events of the run.
        max_bytes: The bound; of a body, after decompression.
    """

    code = "too_large"
    what: str
    max_bytes: int

    def __str__(self) -> str:
        return f"the {self.what} is longer than {self.max_bytes} bytes"


@dataclass(eq=False)
class Undecodable(UpstreamError):
    """A body that is not what it should be.

    Args:
        expected: Such as `JSON`, `UTF-8`, `gzip`.
    """

    code = "decode"
    expected: str

    def __str__(self) -> str:
        return f"the body is not valid {self.expected}"


@dataclass(eq=False)
class Disconnected(UpstreamError):
    code = "disconnected"

    def __str__(self) -> str:
        return "the connection broke before the answer was whole"


@dataclass(eq=False)
class CircuitOpen(UpstreamError):
    code = "circuit_open"

    def __str__(self) -> str:
        return "not called: it has failed too often"


@dataclass(eq=False)
class Cancelled(UpstreamError):
    code = "cancelled"

    def __str__(self) -> str:
        return "cut short before it had answered"


@dataclass(eq=False)
class InternalError(UpstreamError):
    code = "internal"

    def __str__(self) -> str:
        return "an error on this side"
