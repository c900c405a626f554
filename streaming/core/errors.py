"""Every error that fanstream raises, in one tree, split by whose fault it was.

    FanstreamError
    ├── InvalidEvent       the code that made the event
    ├── ConfigError        who wrote the configuration
    ├── RequestError       who sent the request          (a status, before the first byte)
    │   ├── UnknownFeed, UnknownRun                           404
    │   ├── IdTooLong, UnparsableBody                         400
    │   ├── MissingToken, InvalidToken                        401
    │   ├── ForbiddenOrigin, Forbidden                        403
    │   ├── NotAcceptable                                     406
    │   ├── BodyTooSlow                                       408
    │   ├── NotRepeatable                                     410
    │   ├── BodyTooLarge                                      413
    │   ├── UnsupportedMediaType                              415
    │   ├── InvalidParameter                                  422
    │   ├── TooManyStreams, TooManyStreamsPerAddress          503
    │   ├── TooManyRuns, LogsFull, LogUnreachable             503
    │   └── Draining, KeysUnavailable                         503
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
