"""Templates of JSON bodies: every string, at any depth, may have gaps; keys may not.

CONTRACT "Upstream calls", Templates. A string that is a gap and nothing else becomes the value of
its parameter, of the type that it has; any other string with gaps stays a string.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from streaming.core import codec
from streaming.core.errors import ConfigError
from streaming.core.key_path import Keys, under
from streaming.core.rule import is_unicode
from streaming.core.template import Template, Value, parse, to_text

MAX_DEPTH = 100
"""Tables and lists within each other in a body; a deeper one is refused."""


@dataclass(frozen=True, slots=True)
class JsonTemplate:
    """A JSON value whose strings may have gaps.

    Args:
        uses: The keys that lead to every gap, and its parameter.
    """

    uses: tuple[tuple[Keys, str], ...]
    _node: Any = field(repr=False)
    _encoded: bytes | None = field(repr=False)

    def render(self, params: Mapping[str, Value]) -> bytes:
        """Fill in the body, as JSON on one line."""
        if self._encoded is not None:
            return self._encoded
        return codec.encode(_fill(self._node, params))


def parse_json_template(value: Any) -> JsonTemplate:
    """Parse a body of dicts, lists, strings, numbers and booleans.

    Raises:
        ConfigError: What JSON cannot say, a brace that is not part of a gap, or deeper than
            `MAX_DEPTH`; its path is relative to the body.
    """
    node = _parse(value, 0)
    uses = tuple(_uses(node, ()))
    return JsonTemplate(uses, node, None if uses else codec.encode(_fill(node, {})))


def _parse(value: Any, depth: int) -> Any:
    """Return the value with a Template for every string, and containers of its own."""
    if depth > MAX_DEPTH:
        raise ConfigError("", f"is nested deeper than {MAX_DEPTH}")
    if isinstance(value, Mapping):
        return {_key(key): _parse_under(key, item, depth) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_parse_under(n, item, depth) for n, item in enumerate(value)]
    if isinstance(value, str):
        return _parse_text(value)
    if value is None or isinstance(value, int) or (isinstance(value, float) and _finite(value)):
        return value
    raise ConfigError("", "expected what JSON can say, got " + type(value).__name__)


def _parse_under(key: str | int, value: Any, depth: int) -> Any:
    with under(key):
        return _parse(value, depth + 1)


def _key(key: Any) -> str:
    if isinstance(key, str) and is_unicode(key):
        return key
    raise ConfigError("", "has a key that is not a string, or not valid Unicode")


def _parse_text(text: str) -> Template:
    if not is_unicode(text):
        raise ConfigError("", "is not valid Unicode: it has a lone surrogate")
    try:
        return parse(text)
    except ValueError as exc:
        raise ConfigError("", str(exc)) from None


def _finite(number: float) -> bool:
    if not math.isfinite(number):
        raise ConfigError("", f"expected a finite number, got {number}")
    return True


def _uses(node: Any, keys: Keys) -> Iterator[tuple[Keys, str]]:
    if isinstance(node, Template):
        yield from ((keys, name) for name in node.names)
    elif isinstance(node, dict | list):
        for key, item in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _uses(item, (*keys, key))


def _fill(node: Any, params: Mapping[str, Value]) -> Any:
    if isinstance(node, Template):
        if node.is_gap_alone:
            return params[node.names[0]]
        return node.render(params, to_text)
    if isinstance(node, dict):
        return {key: _fill(item, params) for key, item in node.items()}
    if isinstance(node, list):
        return [_fill(item, params) for item in node]
    return node
