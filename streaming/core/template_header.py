"""Templates of header fields: parameters in their values, never in their names.

CONTRACT "Upstream calls", Templates. No value can end its field: a control character is refused,
in what is configured when it is read, in a parameter when it is filled in.
"""

import re
from collections.abc import Mapping
from typing import Any

from streaming.core.errors import ConfigError
from streaming.core.errors_request import InvalidParameter
from streaming.core.key_path import under
from streaming.core.rule import Text, is_unicode
from streaming.core.template import Template, Value, parse, to_text
from streaming.core.url import has_control

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE = Text(from_environment=True)
# How a message is framed and a connection kept is the transport's affair: two opinions of it are
# how requests are smuggled (RFC 9112 section 11.2).
_TRANSPORTS_OWN = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "proxy-connection", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)


def parse_headers(headers: Any) -> dict[str, Template]:
    """Parse the values of configured header fields.

    Raises:
        ConfigError: Not a table of strings, a name that cannot be, stands twice or belongs to the
            connection, a control character, a stray brace, or a parameter in `Host`; the path
            begins with the field's name. Nothing of a value stands in it.
    """
    if not isinstance(headers, Mapping):
        raise ConfigError("", "expected a table of strings")
    parsed: dict[str, Template] = {}
    for name, value in headers.items():
        with under(str(name)):
            _check_name(name, parsed)
            parsed[name] = _parse_value(name, value)
    return parsed


def render_header(template: Template, params: Mapping[str, Value]) -> str:
    """Fill in the value of a header field.

    Spaces around the whole value are dropped, as every recipient drops them (RFC 9110 section 5.5).

    Raises:
        InvalidParameter: A value has a control character, or half a surrogate pair.
    """
    for name in template.names:
        text = to_text(params[name])
        if has_control(text):
            raise InvalidParameter(name, "must not have control characters: it stands in a header")
        if not is_unicode(text):
            raise InvalidParameter(name, "must not have half a surrogate pair: no header can")
    return template.render(params, to_text).strip(" ")


def _check_name(name: Any, others: Mapping[str, Template]) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError("", "is not the name of a header field; no parameter can stand in one")
    if name.lower() in _TRANSPORTS_OWN:
        raise ConfigError("", "is set by the connection itself, and cannot be configured")
    if name.lower() in (other.lower() for other in others):
        raise ConfigError("", "stands here twice: names of header fields are the same in any case")


def _parse_value(name: str, value: Any) -> Template:
    text = _VALUE.check(value)
    if has_control(text):
        raise ConfigError("", "has a control character, such as the end of a line")
    try:
        template = parse(text)
    except ValueError as exc:
        raise ConfigError("", str(exc)) from None
    if name.lower() == "host" and not template.is_static:
        raise ConfigError("", "has a parameter, which must not decide where a call goes")
    return template
