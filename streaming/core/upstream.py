"""Upstreams: one named HTTP call each, with its templates, bounds and ways of reading.

CONTRACT "Upstream calls" and "Configuration" `[feeds.*.upstreams.*]`. Everything that can be parsed
is parsed when the object is made; `call` fills it in. It must not know which parameters its feed
declares, and never opens anything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any

from streaming.core.errors import ConfigError
from streaming.core.key_path import Keys, under
from streaming.core.rule import (
    Anything,
    Choice,
    Flag,
    Integer,
    Listing,
    Seconds,
    SecondsOrZero,
    Text,
    hold_to_rules,
)
from streaming.core.rule_web import Host, HttpUrl, StatusClass
from streaming.core.template import Template
from streaming.core.template_header import parse_headers
from streaming.core.template_json import JsonTemplate, parse_json_template
from streaming.core.template_url import UrlTemplate, parse_url_template

USER_AGENT = "fanstream"
"""What an upstream is told of who calls, where its headers do not say otherwise."""

DEFAULT_MAX_BYTES = 1_048_576
"""Bytes of a body that is read whole, where `max_bytes` is not set."""

DEFAULT_RETRY_STATUSES = (429, 502, 503, 504)
"""Statuses that another attempt may mend, where `retry_statuses` is not set."""

MAX_MAX_PIECE_BYTES = 16_777_216
"""Bytes: what `max_piece_bytes` may be at most, as every stream being read may hold as much."""

REPEATABLE_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE"})
"""Methods that may be sent again without harm."""

STREAMED = frozenset({"sse", "ndjson", "lines", "stream"})
"""The values of `read` that make chunks."""

_METHOD = Text(
    pattern="(?!CONNECT$)[A-Z][A-Z0-9_-]{0,31}", noun="a method in upper case, such as 'POST'"
)
_ACCEPT = {
    "json": "application/json, */*;q=0.5",
    "text": "text/plain, */*;q=0.5",
    "bytes": "*/*",
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson, */*;q=0.5",
    "lines": "text/plain, */*;q=0.5",
    "stream": "*/*",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """How an upstream is connected to; a transport keeps connections apart by it."""

    ca_file: str = field(default="", repr=False)
    verify: bool = True
    proxy: str = field(default="", repr=False)
    trust_env: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One HTTP call of a feed.

    Raises:
        ConfigError: A field breaks its rule; the path begins with the field's name.
    """

    url: Annotated[str, Text(from_environment=True, is_template=True)] = field(repr=False)
    """Absolute, http or https; parameters in path and query."""

    method: Annotated[str, _METHOD] = "GET"
    """In upper case; never from a parameter. CONNECT, which opens a tunnel, is none."""

    headers: Annotated[Mapping[str, str], Anything(from_environment=True, is_template=True)] = (
        field(default_factory=dict, repr=False)
    )
    """Fields beside, or in place of, those that every call has; parameters in their values."""

    json: Annotated[Any, Anything(from_environment=True, is_template=True)] = field(
        default=None, repr=False
    )
    """The body, as JSON; parameters in its strings. None: no body."""

    read: Annotated[
        str, Choice(of=("json", "text", "bytes", "sse", "ndjson", "lines", "stream"))
    ] = "json"
    """How the body is read: the first three whole, the others as a stream of chunks."""

    idempotent: Annotated[bool, Flag()] = False
    """Whether the call may be repeated though its method does not say so."""

    connect_timeout: Seconds = 5.0
    """Seconds for DNS, TCP and TLS; then `timeout`, and retried."""

    first_byte_timeout: Seconds = 10.0
    """Seconds to the response's head, for each attempt; then `timeout`, and retried."""

    idle_timeout: Seconds = 10.0
    """Seconds for each read of the body; then `timeout`, and given up."""

    timeout: Seconds | None = None
    """Seconds for all attempts, waits, and the wait for a connection; then `timeout`, and given up.
    None: the feed's."""

    retries: Annotated[int, Integer(at_most=100)] | None = None
    """Attempts after the first. None: 2 where the call is repeatable, else 0."""

    retry_statuses: Annotated[tuple[int, ...], Listing(item=Integer(at_least=200, at_most=599))] = (
        DEFAULT_RETRY_STATUSES
    )
    """Statuses after which the call is tried again."""

    backoff: SecondsOrZero = 0.1
    """Seconds: the ceiling of the first wait; it doubles with each attempt."""

    max_backoff: SecondsOrZero = 2.0
    """Seconds: the ceiling of all waits, and of `backoff` where that is more."""

    ok_statuses: Annotated[tuple[int | str, ...], Listing(item=StatusClass(), at_least=1)] = (
        "2xx",
    )
    """Statuses whose body is a result; any other is `status`."""

    max_bytes: Annotated[int, Integer(at_least=1)] | None = None
    """Bytes of the body, after decompression; then `too_large`. None: 1048576 for a body that is
    read whole, without bound for a stream."""

    max_piece_bytes: Annotated[int, Integer(at_least=1, at_most=MAX_MAX_PIECE_BYTES)] = 65536
    """Bytes of one event, line or piece of a stream; then `too_large`."""

    follow_redirects: Annotated[bool, Flag()] = False
    """Whether a redirect is followed: on the same origin, and to `redirect_hosts`."""

    redirect_hosts: Annotated[tuple[str, ...], Listing(item=Host())] = ()
    """Other hosts that a redirect may lead to: `host` for any port, or `host:port`."""

    ca_file: Annotated[str, Text(from_environment=True)] = field(default="", repr=False)
    """A file of certificate authorities, PEM, in place of the system's; empty for those."""

    verify: Annotated[bool, Flag()] = True
    """Whether the certificate is checked."""

    proxy: Annotated[str, HttpUrl(from_environment=True, with_userinfo=True)] = field(
        default="", repr=False
    )
    """The http or https URL of a proxy, which may name user and password; empty for none."""

    trust_env: Annotated[bool, Flag()] = False
    """Whether proxies are taken from the process's environment."""

    url_template: UrlTemplate = field(init=False, repr=False, compare=False)
    header_templates: tuple[tuple[str, Template], ...] = field(
        init=False, repr=False, compare=False
    )
    json_template: JsonTemplate | None = field(init=False, repr=False, compare=False)
    options: ConnectionOptions = field(init=False, repr=False, compare=False)
    _ok: frozenset[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        hold_to_rules(self)
        with under("headers"):
            headers = parse_headers(self.headers)
        derived = {
            "headers": MappingProxyType(dict(self.headers)),
            "url_template": _parse_url(self.url),
            "json_template": _parse_json(self.json),
            "header_templates": tuple((self._default_headers(headers) | headers).items()),
            "options": ConnectionOptions(
                ca_file=self.ca_file, verify=self.verify, proxy=self.proxy, trust_env=self.trust_env
            ),
            "_ok": frozenset(n for n in range(200, 600) if _holds(self.ok_statuses, n)),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    @property
    def is_repeatable(self) -> bool:
        """Say whether the call may be sent again without harm."""
        return self.idempotent or self.method in REPEATABLE_METHODS

    @property
    def max_attempts(self) -> int:
        """How often the call is tried at most, the first time included."""
        if self.retries is not None:
            return 1 + self.retries
        return 3 if self.is_repeatable else 1

    @property
    def is_streamed(self) -> bool:
        """Say whether the body becomes chunks."""
        return self.read in STREAMED

    @property
    def effective_max_bytes(self) -> int | None:
        """Bytes of the body, after decompression; None where there is no bound: a stream's."""
        if self.max_bytes is None and not self.is_streamed:
            return DEFAULT_MAX_BYTES
        return self.max_bytes

    def is_ok(self, status: int) -> bool:
        """Say whether a body with this status is a result."""
        return status in self._ok

    def uses(self) -> Iterator[tuple[Keys, str]]:
        """Give the keys that lead to every gap of a template, and its parameter."""
        yield from ((("url",), name) for name in self.url_template.names)
        for key, template in self.header_templates:
            yield from ((("headers", key), name) for name in template.names)
        if self.json_template is not None:
            yield from ((("json", *keys), name) for keys, name in self.json_template.uses)

    def _default_headers(self, configured: Mapping[str, Template]) -> dict[str, Template]:
        defaults = {
            "Accept": _ACCEPT[self.read],
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": USER_AGENT,
        }
        if self.json is not None:
            defaults["Content-Type"] = "application/json"
        theirs = {name.lower() for name in configured}
        return {
            name: Template((value,), ())
            for name, value in defaults.items()
            if name.lower() not in theirs
        }


def _parse_url(text: str) -> UrlTemplate:
    try:
        return parse_url_template(text)
    except ValueError as exc:
        raise ConfigError("url", str(exc)) from None


def _parse_json(value: Any) -> JsonTemplate | None:
    if value is None:
        return None
    with under("json"):
        return parse_json_template(value)


def _holds(statuses: tuple[int | str, ...], status: int) -> bool:
    return any(str(each) in (str(status), f"{status // 100}xx") for each in statuses)
