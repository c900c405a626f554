"""Settings: everything that can be configured, and the one table of bounds.

CONTRACT "Configuration". Each field says its unit and what happens at the bound; the bounds of one
upstream are in `upstream`, of one parameter in `param`, of one feed in `feed`. Durations are float
seconds. It must not know where settings come from: `config` reads them from a document.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated

from streaming.core.errors import ConfigError
from streaming.core.feed import Feed
from streaming.core.key_path import under
from streaming.core.rule import (
    Anything,
    Choice,
    Integer,
    Listing,
    Seconds,
    SecondsOrZero,
    Text,
    hold_to_rules,
)
from streaming.core.rule_web import HttpUrl, Network, WebOrigin

MEMORY_URL = "memory:"
"""Where events are kept unless another place is named: in the process."""

MAX_RETRY_MS = 86_400_000
"""Milliseconds, a day: what `retry_ms` may be at most."""

_SHARED_SECRET_ALGORITHMS = ("HS256", "HS384", "HS512")
_PUBLIC_KEY_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """`[server]`: the bounds of one process.

    Raises:
        ConfigError: A field breaks its rule; the path is the field's name.
    """

    max_streams: Annotated[int, Integer(at_least=1)] = 1000
    """Open streams of the process; a further one is answered 503. Under WSGI threads there are
    never more than their number less 8."""

    max_streams_per_address: Annotated[int, Integer()] = 0
    """Open streams of one address; a further one is answered 503. 0: without bound."""

    trusted_proxies: Annotated[tuple[str, ...], Listing(item=Network())] = ()
    """Addresses and networks of peers whose `X-Forwarded-For` is believed."""

    max_runs: Annotated[int, Integer(at_least=1)] = 10000
    """Runs, live and kept; at the bound the finished ones go, oldest first."""

    ping_interval: Seconds = 15.0
    """Seconds without a byte after which a stream beats."""

    retry_ms: Annotated[int, Integer(at_most=MAX_RETRY_MS)] = 2000
    """Milliseconds that a client is told to wait before it connects again."""

    max_stream_age: Seconds = 3600.0
    """Seconds that a stream lives, 80 to 100 % of it at random; then `shutdown` (`max_age`)."""

    max_lag_events: Annotated[int, Integer(at_least=1)] = 10000
    """Events that a viewer has still to read; above it, it is closed (`lagging`) and may resume."""

    max_lag_bytes: Annotated[int, Integer(at_least=1)] = 8_388_608
    """Bytes that a viewer has still to read; above it, it is closed (`lagging`) and may resume."""

    send_timeout: Seconds = 30.0
    """Seconds that one write to a viewer may take; then its connection is closed."""

    drain_timeout: SecondsOrZero = 10.0
    """Seconds from the signal to the end of the process; what lives then is cut."""

    max_connections: Annotated[int, Integer(at_least=1)] = 1000
    """Connections to all upstreams; a further call waits, within its `timeout`."""

    max_body_bytes: Annotated[int, Integer(at_least=1)] = 1_048_576
    """Bytes of a request's body; a longer one is answered 413."""

    cors_origins: Annotated[tuple[str, ...], Listing(item=WebOrigin())] = ()
    """Other origins whose pages may start runs here, `*` for all; any other is answered 403."""

    def __post_init__(self) -> None:
        hold_to_rules(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """`[log]`: where events are kept, and how many.

    Raises:
        ConfigError: A field breaks its rule; the path is the field's name.
    """

    url: Annotated[
        str,
        Text(
            from_environment=True,
            pattern=r"memory:|rediss?(\+sentinel|\+cluster)?://[!-~]+",
            noun="'memory:', or a URL of redis://, rediss://, redis+sentinel:// or redis+cluster://",
        ),
    ] = field(default=MEMORY_URL, repr=False)
    """`memory:`, or the URL of a Redis, which may hold a password."""

    max_bytes: Annotated[int, Integer(at_least=1)] = 268_435_456
    """Bytes of all logs of a process; above it, finished runs go, oldest first."""

    max_events: Annotated[int, Integer(at_least=1)] = 10000
    """Events of one log; above it, the oldest chunks go. Start and outcomes stay."""

    max_log_bytes: Annotated[int, Integer(at_least=1)] = 16_777_216
    """Bytes of one log; above it, the oldest chunks go. Start and outcomes stay."""

    def __post_init__(self) -> None:
        hold_to_rules(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """`[auth]`: who may run, watch and stop. Without it everyone may.

    Raises:
        ConfigError: A field breaks its rule, not just one of `jwt_secret` and `jwks_url`, or an
            algorithm that does not go with it; the path begins with the field's name, if any.
    """

    jwt_secret: Annotated[str, Text(from_environment=True)] = field(default="", repr=False)
    """The secret that tokens are signed with."""

    jwks_url: Annotated[str, HttpUrl(from_environment=True)] = field(default="", repr=False)
    """Where the public keys are that tokens are signed with; absolute, http or https."""

    algorithms: Annotated[
        tuple[str, ...],
        Listing(
            item=Choice(
                of=_SHARED_SECRET_ALGORITHMS + _PUBLIC_KEY_ALGORITHMS, from_environment=True
            ),
            at_least=1,
            from_environment=True,
        ),
    ] = field(default=("HS256",), repr=False)
    """The algorithms that a token may be signed by; `none` never is one."""

    cookie: Annotated[
        str,
        Text(
            from_environment=True,
            pattern=r"[A-Za-z0-9!#$%&'*+.^_`|~-]{0,100}",
            noun="a cookie's name",
        ),
    ] = field(default="fanstream", repr=False)
    """The cookie that a token may come in; empty for none."""

    audience: Annotated[
        tuple[str, ...], Listing(item=Text(from_environment=True), from_environment=True)
    ] = field(default=(), repr=False)
    """Names of this service, one of which a token's `aud` has to hold. Without any, a token that
    has an `aud` is meant for another and refused (RFC 7519 section 4.1.3)."""

    issuer: Annotated[str, Text(from_environment=True)] = field(default="", repr=False)
    """What a token's `iss` has to be; empty for anything."""

    def __post_init__(self) -> None:
        hold_to_rules(self)
        if bool(self.jwt_secret) == bool(self.jwks_url):
            raise ConfigError("", "expected one of jwt_secret and jwks_url, and not both")
        # A public key taken for a shared secret would let everyone sign: RFC 8725 section 3.1.
        fitting = _SHARED_SECRET_ALGORITHMS if self.jwt_secret else _PUBLIC_KEY_ALGORITHMS
        if not set(self.algorithms) <= set(fitting):
            key = "jwt_secret" if self.jwt_secret else "jwks_url"
            raise ConfigError("algorithms", f"with {key} expected some of {', '.join(fitting)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that is configured.

    Raises:
        ConfigError: A feed under another name than its own.
    """

    server: ServerSettings = field(default_factory=ServerSettings)
    log: LogSettings = field(default_factory=LogSettings)
    auth: AuthSettings | None = None
    feeds: Annotated[Mapping[str, Feed], Anything()] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, feed in self.feeds.items():
            if not isinstance(feed, Feed) or feed.name != name:
                with under("feeds", str(name)):
                    raise ConfigError("", "expected the Feed of this name")
        object.__setattr__(self, "feeds", MappingProxyType(dict(self.feeds)))
