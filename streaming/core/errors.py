"""Every error that fanstream raises, in one tree, split by whose fault it was.

    FanstreamError
    ├── InvalidEvent       the code that made the event
    ├── ConfigError        who wrote the configuration
    ├── RequestError       who sent the request          (a status, before the first byte)
    │   ├── UnknownFeed, UnknownRun                           404
    │   ├── IdTooLong, UnparsableBody                         400
    │   ├── ForbiddenOrigin                                   403
    │   ├── NotAcceptable                                     406
    │   ├── NotRepeatable                                     410
    │   ├── BodyTooLarge                                      413
    │   ├── UnsupportedMediaType                              415
    │   ├── InvalidParameter                                  422
    │   ├── TooManyStreams, TooManyStreamsPerAddress          503
    │   └── TooManyRuns, LogsFull, Draining                   503
    └── UpstreamError      the upstream, or the way to it     (a code, in a `failure` event)
        ├── ConnectFailed    connect
        ├── TimedOut         timeout
        ├── BadStatus        status
        ├── ProtocolBroken   protocol
        ├── TooLarge         too_large
        ├── Undecodable      decode
        ├── Disconnected     disconnected
        ├── CircuitOpen      circuit_open
        ├── Cancelled        cancelled
        └── InternalError    internal

Constructors take facts as fields and `__str__` makes the sentence. An upstream's sentence is fixed
for its code and says nothing internal: no header, no address, no secret.
"""

from dataclasses import dataclass
from typing import ClassVar


class FanstreamError(Exception):
    """What all errors of fanstream are."""


class InvalidEvent(FanstreamError, ValueError):
    """An event that cannot be written on a wire."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"the {self.field} of an event {self.reason}"


class ConfigError(FanstreamError):
    """A mistake in the configuration: where it stands, and what is wrong with it.

    Args:
        path: The key's path, such as `feeds.city.timeout`; empty for the whole.
        reason: What is wrong, as the end of a sentence.
        file: The file that it stands in; None where it comes from code.
    """

    def __init__(self, path: str, reason: str, *, file: str | None = None) -> None:
        super().__init__(path, reason, file)
        self.path = path
        self.reason = reason
        self.file = file

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.path, self.reason) if part)


# ------------------------------------------------------------------- the request


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
class Draining(RequestError):
    status, title = 503, "Draining"
    retry_after: int

    def __str__(self) -> str:
        return "this server is ending; ask again"


# ------------------------------------------------------------------ the upstream


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
