"""What a value of the configuration may be, and what is said when it is not.

A rule stands in a field's annotation, `Annotated[float, Number(above=0)]`, and `hold_to_rules` puts
an object's fields under theirs when the object is made: so a file and a program are held to the
same rules (CONTRACT "Configuration"). It must not know of files, tables or the environment. The
rules of what is said in HTTP and IP are in `rule_web`.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Annotated, Any, get_args, get_type_hints

from streaming.core.errors import ConfigError
from streaming.core.key_path import under

MAX_SECONDS = 1e9
"""Seconds, about 31 years: a duration above it is refused, as clocks and locks overflow later."""

MAX_INTEGER = 2**53
"""What an integer of the configuration may be at most: exact in every reader of JSON."""

MAX_TEXT_LENGTH = 100_000
"""Characters of one string of the configuration; a longer one is refused."""

_MAX_SHOWN_LENGTH = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(ABC):
    """What one field's value may be.

    Args:
        from_environment: Whether a file may write `${NAME}` here. Such a value may be a secret, so
            it is shown in no message.
        is_template: Whether `{name}` stands for a parameter here.
    """

    from_environment: bool = False
    is_template: bool = False

    @property
    @abstractmethod
    def expected(self) -> str:
        """What is expected, as the end of a sentence."""

    @abstractmethod
    def check(self, value: Any) -> Any:
        """Return the value as it is to be kept.

        Raises:
            ConfigError: It breaks the rule; its path is relative to the value.
        """

    def refusal(self, value: Any) -> ConfigError:
        """Make the error for a value that breaks the rule."""
        shown = _kind(value) if self.from_environment else _shown(value)
        return ConfigError("", f"expected {self.expected}, got {shown}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Rule):
    """A finite number, whole or not; kept as a float."""

    above: float | None = None
    at_least: float = -MAX_SECONDS
    at_most: float = MAX_SECONDS

    @property
    def expected(self) -> str:
        """See `Rule`."""
        if self.above is not None:
            return f"a number above {self.above:g}"
        return f"a number, {self.at_least:g} or more"

    def check(self, value: Any) -> float:
        """See `Rule`."""
        if type(value) not in (int, float) or (type(value) is float and not math.isfinite(value)):
            raise self.refusal(value)
        if value < self.at_least or (self.above is not None and value <= self.above):
            raise self.refusal(value)
        if value > self.at_most:
            raise ConfigError("", f"expected at most {self.at_most:.0f}, got {_shown(value)}")
        return float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer(Rule):
    """A whole number; not a boolean, and not 1.0."""

    at_least: int = 0
    at_most: int = MAX_INTEGER

    @property
    def expected(self) -> str:
        """See `Rule`."""
        return (
            "an integer above 0" if self.at_least == 1 else f"an integer, {self.at_least} or more"
        )

    def check(self, value: Any) -> int:
        """See `Rule`."""
        if type(value) is not int or value < self.at_least:
            raise self.refusal(value)
        if value > self.at_most:
            raise ConfigError("", f"expected at most {self.at_most}, got {_shown(value)}")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag(Rule):
    """True or false."""

    @property
    def expected(self) -> str:
        """See `Rule`."""
        return "true or false"

    def check(self, value: Any) -> bool:
        """See `Rule`."""
        if type(value) is not bool:
            raise self.refusal(value)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Rule):
    """A string that UTF-8 can write.

    Args:
        pattern: What all of it must match; None for anything.
        noun: What it is, where a pattern narrows it.
    """

    pattern: str | None = None
    noun: str = "a string"

    @property
    def expected(self) -> str:
        """See `Rule`."""
        return self.noun

    def check(self, value: Any) -> str:
        """See `Rule`."""
        if not isinstance(value, str) or not self._matches(value):
            raise self.refusal(value)
        if len(value) > MAX_TEXT_LENGTH:
            raise ConfigError("", f"is longer than {MAX_TEXT_LENGTH} characters")
        if not is_unicode(value):
            raise ConfigError("", "is not valid Unicode: it has a lone surrogate")
        return str(value)

    def _matches(self, value: str) -> bool:
        return self.pattern is None or re.fullmatch(self.pattern, value) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Rule):
    """One of a few values; 1 is not true."""

    of: tuple[str | bool, ...]

    @property
    def expected(self) -> str:
        """See `Rule`."""
        return "one of " + ", ".join(_shown(option) for option in self.of)

    def check(self, value: Any) -> Any:
        """See `Rule`."""
        if not any(type(value) is type(option) and value == option for option in self.of):
            raise self.refusal(value)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Rule):
    """A list of values of one kind; kept as a tuple."""

    item: Rule
    at_least: int = 0

    @property
    def expected(self) -> str:
        """See `Rule`."""
        return "a list that is not empty" if self.at_least else "a list"

    def check(self, value: Any) -> tuple[Any, ...]:
        """See `Rule`."""
        if not isinstance(value, list | tuple) or len(value) < self.at_least:
            raise self.refusal(value)
        checked = []
        for index, item in enumerate(value):
            with under(index):
                checked.append(self.item.check(item))
        return tuple(checked)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrNone(Rule):
    """A value of one kind, or None; `Seconds | None` says so."""

    item: Rule

    @property
    def expected(self) -> str:
        """See `Rule`."""
        return self.item.expected

    def check(self, value: Any) -> Any:
        """See `Rule`."""
        return None if value is None else self.item.check(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anything(Rule):
    """What is checked by the object that has it."""

    @property
    def expected(self) -> str:
        """See `Rule`."""
        return "a value"

    def check(self, value: Any) -> Any:
        """See `Rule`."""
        return value


Seconds = Annotated[float, Number(above=0)]
"""A duration in seconds that cannot be nothing."""

SecondsOrZero = Annotated[float, Number(at_least=0)]
"""A duration in seconds that may be 0."""


def hold_to_rules(instance: object) -> None:
    """Check the fields of a frozen dataclass, and keep them as their rules say.

    Raises:
        ConfigError: A field breaks its rule; the path begins with the field's name.
    """
    for name, rule in rules_of(type(instance)).items():
        with under(name):
            object.__setattr__(instance, name, rule.check(getattr(instance, name)))


def rules_of(cls: type) -> Mapping[str, Rule]:
    """Return the rules of a dataclass by the names of their fields."""
    hints = get_type_hints(cls, include_extras=True)
    return {name: rule for name, hint in hints.items() if (rule := _rule_of(hint)) is not None}


def is_unicode(text: str) -> bool:
    """Say whether UTF-8 can write the text: a lone surrogate cannot be written."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _rule_of(hint: Any) -> Rule | None:
    """Return the rule in an annotation: `Annotated[float, Number()]`, with ` | None` or without."""
    parts = get_args(hint)
    found = (part if isinstance(part, Rule) else _rule_of(part) for part in parts)
    rule = next((rule for rule in found if rule is not None), None)
    return OrNone(item=rule) if rule is not None and type(None) in parts else rule


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        is_short = len(value) <= _MAX_SHOWN_LENGTH
        return repr(str(value)) if is_short else f"a string of {len(value)} characters"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**20):
        return str(value)
    return _kind(value)


def _kind(value: Any) -> str:
    """Say of what kind a value is, and nothing else of it."""
    kinds: tuple[tuple[Any, str], ...] = (
        (bool, "a boolean"),
        (str, "another string" if value else "an empty string"),
        (int | float, "a number"),
        (list | tuple, "a list"),
        (Mapping, "a table"),
        (date | time, "a date or time"),
        (type(None), "nothing"),
    )
    return next((kind for type_, kind in kinds if isinstance(value, type_)), type(value).__name__)
