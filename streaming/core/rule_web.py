"""The rules of values that HTTP and IP give a form: URLs, hosts, origins, networks, statuses.

See `rule`. Values are kept as they were written, unless a class says otherwise.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from streaming.core.errors import ConfigError
from streaming.core.rule import Rule
from streaming.core.url import has_control, parse_host, parse_url


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpUrl(Rule):
    """An absolute http or https URL, or nothing.

    Args:
        with_userinfo: Whether user and password may stand in it.
    """

    with_userinfo: bool = False

    @property
    def expected(self) -> str:
        """See `Rule`."""
        return "an absolute http or https URL"

    def check(self, value: Any) -> str:
        """See `Rule`."""
        if not isinstance(value, str) or has_control(value):
            raise self.refusal(value)
        try:
            if value:
                parse_url(value, with_userinfo=self.with_userinfo)
        except ValueError as exc:
            raise ConfigError("", str(exc)) from None
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Host(Rule):
    """A host, with a port or without; kept in lower case."""

    @property
    def expected(self) -> str:
        """See `Rule`."""
        return "a host, such as 'cdn.example.com'"

    def check(self, value: Any) -> str:
        """See `Rule`."""
        try:
            if isinstance(value, str) and parse_host(value):
                return value.lower()
        except ValueError:
            pass
        raise self.refusal(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOrigin(Rule):
    """An origin, kept as a browser writes it in `Origin`; or `*` for every origin."""

    @property
    def expected(self) -> str:
        """See `Rule`."""
        return "an origin, such as 'https://app.example': scheme, host and port alone"

    def check(self, value: Any) -> str:
        """See `Rule`."""
        if value == "*":
            return "*"
        try:
            url = parse_url(value) if isinstance(value, str) else None
        except ValueError:
            url = None
        if url is None or url.path or url.query is not None or url.has_fragment:
            raise self.refusal(value)
        return str(url.origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network(Rule):
    """An IP address, or a network of them."""

    @property
    def expected(self) -> str:
        """See `Rule`."""
        return "an IP address, or a network such as '10.0.0.0/8'"

    def check(self, value: Any) -> str:
        """See `Rule`."""
        try:
            if isinstance(value, str) and ip_network(value):
                return value
        except ValueError:
            pass
        raise self.refusal(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusClass(Rule):
    """A status, 204 or "204", or a class of them, "2xx"."""

    @property
    def expected(self) -> str:
        """See `Rule`."""
        return "a status such as 204, or a class such as '2xx'"

    def check(self, value: Any) -> int | str:
        """See `Rule`."""
        if type(value) is int and 200 <= value <= 599:
            return value
        if isinstance(value, str) and re.fullmatch("[2-5](xx|[0-9]{2})", value):
            return value
        raise self.refusal(value)
