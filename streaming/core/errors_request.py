"""What is wrong with a request: each error has a status, and is told before the first byte.

The whole tree of errors is drawn in `streaming.core.errors`.
"""

from dataclasses import dataclass
from typing import ClassVar

from streaming.core.errors import FanstreamError


@dataclass(eq=False)
class RequestError(FanstreamError):
    """A request that is answered with a status and a problem document (RFC 9457)."""

    status: ClassVar[int]
    title: ClassVar[str]

    @property
    def code(self) -> str:
        """The error's word, stable for programs: `type` of the problem document."""
        return self.title.lower().replace(" ", "-")

    def facts(self) -> dict[str, object]:
        """Return what the problem document says beside its standard members."""
        return dict(vars(self))

    def __str__(self) -> str:
        return self.title


@dataclass(eq=False)
class UnknownFeed(RequestError):
    status, title = 404, "Unknown feed"
    feed: str

    def __str__(self) -> str:
        return f"there is no feed {self.feed!r}"


@dataclass(eq=False)
class UnknownRun(RequestError):
    status, title = 404, "Unknown run"
    run: str

    def __str__(self) -> str:
        return "there is no such run here, or it is gone"


@dataclass(eq=False)
class IdTooLong(RequestError):
    status, title = 400, "Event id too long"
    max_bytes: int

    def __str__(self) -> str:
        return f"the last event id is longer than {self.max_bytes} bytes"


@dataclass(eq=False)
class UnparsableBody(RequestError):
    status, title = 400, "Unparsable body"
    reason: str

    def __str__(self) -> str:
        return f"the body cannot be read: {self.reason}"


@dataclass(eq=False)
class MissingToken(RequestError):
    status, title = 401, "Missing token"

    def __str__(self) -> str:
        return "this has to be asked for with a bearer token"


@dataclass(eq=False)
class InvalidToken(RequestError):
    status, title = 401, "Invalid token"
    reason: str

    def __str__(self) -> str:
        return f"the token is not accepted: {self.reason}"


@dataclass(eq=False)
class Forbidden(RequestError):
    status, title = 403, "Forbidden"
    right: str

    def __str__(self) -> str:
        return f"the token gives no right to {self.right}"


@dataclass(eq=False)
class ForbiddenOrigin(RequestError):
    status, title = 403, "Forbidden origin"

    def __str__(self) -> str:
        return "requests from another site start nothing here"


@dataclass(eq=False)
class NotAcceptable(RequestError):
    status, title = 406, "Not acceptable"
    available: tuple[str, ...]

    def __str__(self) -> str:
        return "none of the accepted types can be written; there are " + ", ".join(self.available)


@dataclass(eq=False)
class BodyTooSlow(RequestError):
    status, title = 408, "Body too slow"
    timeout: float

    def __str__(self) -> str:
        return f"the body has not come within {self.timeout:g} s"


@dataclass(eq=False)
class NotRepeatable(RequestError):
    status, title = 410, "Not repeatable"
    upstream: str

    def __str__(self) -> str:
        return (
            f"the run that this id belongs to is gone, and upstream {self.upstream!r} must not be"
            " called again unasked"
        )


@dataclass(eq=False)
class BodyTooLarge(RequestError):
    status, title = 413, "Body too large"
    max_bytes: int

    def __str__(self) -> str:
        return f"the body is longer than {self.max_bytes} bytes"


@dataclass(eq=False)
class UnsupportedMediaType(RequestError):
    status, title = 415, "Unsupported media type"

    def __str__(self) -> str:
        return "the parameters come as a JSON object, with Content-Type: application/json"


@dataclass(eq=False)
class InvalidParameter(RequestError):
    status, title = 422, "Invalid parameter"
    parameter: str
    reason: str

    def __str__(self) -> str:
        return f"parameter {self.parameter!r} {self.reason}"


@dataclass(eq=False)
class TooManyStreams(RequestError):
    status, title = 503, "Too many streams"
    max_streams: int
    retry_after: int

    def __str__(self) -> str:
        return f"all {self.max_streams} streams are taken"


@dataclass(eq=False)
class TooManyStreamsPerAddress(RequestError):
    status, title = 503, "Too many streams per address"
    max_streams_per_address: int
    retry_after: int

    def __str__(self) -> str:
        return f"all {self.max_streams_per_address} streams of one address are taken"


@dataclass(eq=False)
class TooManyRuns(RequestError):
    status, title = 503, "Too many runs"
    max_runs: int
    retry_after: int

    def __str__(self) -> str:
        return f"all {self.max_runs} runs are live"


@dataclass(eq=False)
class LogsFull(RequestError):
    status, title = 503, "Logs full"
    max_bytes: int
    retry_after: int

    def __str__(self) -> str:
        return f"live runs hold all {self.max_bytes} bytes of logs"


@dataclass(eq=False)
class LogUnreachable(RequestError):
    status, title = 503, "Log unreachable"
    retry_after: int

    def __str__(self) -> str:
        return "the log that all processes share cannot be reached now"


@dataclass(eq=False)
class Draining(RequestError):
    status, title = 503, "Draining"
    retry_after: int

    def __str__(self) -> str:
        return "this server is ending; ask again"


@dataclass(eq=False)
class KeysUnavailable(RequestError):
    status, title = 503, "Keys unavailable"
    retry_after: int

    def __str__(self) -> str:
        return "the keys that tokens are verified with cannot be had now"
