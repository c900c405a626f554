"""Parameters: what the caller of a feed may say, and what its values may be.

CONTRACT "Configuration" `[feeds.*.params.*]` and "HTTP interface" (422). A value comes as text from
a query, or typed from JSON, and is bound to the same value either way: runs are compared by it.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Annotated, Any

from streaming.core.errors import ConfigError
from streaming.core.key_path import under
from streaming.core.rule import Anything, Choice, Integer, Text, hold_to_rules, is_unicode
from streaming.core.template import Value, to_text

RESERVED_PARAMETERS = frozenset({"format", "last_event_id", "ping", "access_token", "feed"})
"""Names that mean something to every feed, and so cannot be a feed's own."""

MAX_VALUE_LENGTH = 1_000_000
"""Characters: what `max_length` may be at most."""

_INTEGER = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_EXACT_IN_A_DOUBLE = 2**53
_EXPECTED = {
    "string": "must be a string",
    "integer": "must be an integer",
    "number": "must be a finite number",
    "boolean": "must be true or false",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """One parameter of a feed.

    Raises:
        ConfigError: A field breaks its rule; the path is the field's name.
    """

    type: Annotated[str, Choice(of=("string", "integer", "number", "boolean"))] = "string"
    """What its values are. A number is a double: 3 and 3.0 are the same."""

    pattern: Annotated[str, Text()] = ".*"
    """A regular expression that all of the value must match, written as text; `.` is any character,
    the end of a line too. A value that does not match is refused (422)."""

    max_length: Annotated[int, Integer(at_least=1, at_most=MAX_VALUE_LENGTH)] = 200
    """Characters of a value, written as text; a longer one is refused (422)."""

    default: Annotated[Value | None, Anything()] = None
    """The value where the caller gives none; None makes the parameter required."""

    label: Annotated[str, Text()] = ""
    """What a form calls it; empty for its name."""

    _matcher: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        hold_to_rules(self)
        object.__setattr__(self, "_matcher", _compile(self.pattern))
        if self.default is None:
            return
        try:
            object.__setattr__(self, "default", self.bind(self.default, typed=True))
        except ValueError as exc:
            raise ConfigError("default", str(exc)) from exc

    @property
    def is_required(self) -> bool:
        """Say whether a caller must give it."""
        return self.default is None

    def describe(self) -> dict[str, Any]:
        """Return what a caller, or a form, has to know, as the file says it.

        There is no `default` where the parameter is required.
        """
        default = {} if self.is_required else {"default": self.default}
        return {
            "type": self.type,
            "pattern": self.pattern,
            "max_length": self.max_length,
            **default,
            "label": self.label,
        }

    def bind(self, value: Any, *, typed: bool) -> Value:
        """Return the value as templates and runs have it.

        Args:
            value: Text, or where it is typed, what JSON said.
            typed: Whether the value's own type counts. An integer is fine for a number; a boolean
                is neither.

        Raises:
            ValueError: Not of the type, too long, not matching. The sentence goes behind the
                parameter's name, and holds nothing of the value.
        """
        if isinstance(value, str) and len(value) > self.max_length:
            raise ValueError(self._too_long)
        bound = self._of_json(value) if typed else self._of_text(value)
        self._check_text(to_text(bound))
        return bound

    @property
    def _too_long(self) -> str:
        return f"is longer than {self.max_length} characters"

    def _check_text(self, text: str) -> None:
        if len(text) > self.max_length:
            raise ValueError(self._too_long)
        if "\0" in text or not is_unicode(text):
            raise ValueError("must not have a NUL or a lone surrogate")
        if not self._matcher.fullmatch(text):
            raise ValueError("does not match its pattern")

    def _of_text(self, text: Any) -> Value:
        if isinstance(text, str):
            if self.type == "string":
                return text
            if self.type == "boolean" and text in ("true", "false"):
                return text == "true"
            if self.type == "integer" and _INTEGER.fullmatch(text):
                return self._of_json(self._int(text))
            if self.type == "number" and _NUMBER.fullmatch(text):
                return _number(float(text))
        raise ValueError(_EXPECTED[self.type])

    def _of_json(self, value: Any) -> Value:
        kind = type(value)
        if (self.type, kind) in (("string", str), ("boolean", bool)):
            return value  # type: ignore[no-any-return]
        if self.type == "integer" and kind is float and value.is_integer():
            # JSON has one kind of number: 129.0 is an integer, as JSON Schema counts it.
            value, kind = int(value), int
        if self.type == "integer" and kind is int:
            # The bits first: writing out a very long integer takes quadratic time, or is refused.
            if value.bit_length() > 4 * self.max_length:
                raise ValueError(self._too_long)
            return int(value)
        if self.type == "number" and kind in (int, float):
            return _number(_double(value))
        raise ValueError(_EXPECTED[self.type])

    def _int(self, text: str) -> int:
        try:
            return int(text)
        except ValueError:
            raise ValueError(self._too_long) from None


def _compile(pattern: str) -> re.Pattern[str]:
    with under("pattern"):
        try:
            return re.compile(pattern, re.DOTALL)
        except (re.error, OverflowError, RecursionError) as exc:
            raise ConfigError("", f"is not a regular expression: {exc}") from exc


def _double(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _number(value: float) -> Value:
    """Return one form of a number: whole ones as integers, as JSON has them in most languages."""
    if not math.isfinite(value):
        raise ValueError(_EXPECTED["number"])
    is_whole = value.is_integer() and abs(value) < _EXACT_IN_A_DOUBLE
    return int(value) if is_whole else value
