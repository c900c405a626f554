"""Feeds: named sets of upstreams, the parameters they take, the policy they run under.

CONTRACT "Configuration" `[feeds.*]`. A feed from a file and one from code are the same object under
the same rules. Its parts are in `param` and `upstream`, and are had from here too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any

from streaming.core.call import Call, build_call
from streaming.core.errors import ConfigError
from streaming.core.errors_request import InvalidParameter
from streaming.core.key_path import check_known, under
from streaming.core.param import RESERVED_PARAMETERS, Param
from streaming.core.rule import Anything, Choice, Seconds, SecondsOrZero, Text, hold_to_rules
from streaming.core.template import NAME as PARAMETER_NAME
from streaming.core.template import Value
from streaming.core.upstream import DEFAULT_MAX_BYTES, Upstream

__all__ = [
    "DEFAULT_MAX_BYTES",
    "NAME_RULE",
    "RESERVED_PARAMETERS",
    "Feed",
    "Param",
    "Upstream",
    "Value",
]

NAME_RULE = Text(
    pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}",
    noun="a name of letters, digits, '.', '_' and '-', at most 100, a letter or digit first",
)
"""What the name of a feed or upstream may be."""

_PARAMETER_RULE = Text(
    pattern=PARAMETER_NAME,
    noun="a name of letters, digits and '_', at most 100, no digit first",
)
_MAX_NAME_SAID = 100


@dataclass(frozen=True, slots=True)
class Feed:
    """A named set of upstreams.

    Args:
        name: Letters, digits, `.`, `_` and `-`, at most 100; it stands in URLs.

    Raises:
        ConfigError: A field breaks its rule, or a template uses what is not declared; the path
            begins with the field's name.
    """

    name: Annotated[str, NAME_RULE]

    title: Annotated[str, Text()] = field(default="", kw_only=True)
    """What a page calls it; empty for its name."""

    timeout: Seconds = field(default=30.0, kw_only=True)
    """Seconds for the whole run; what has not answered by then is `timeout`."""

    on_disconnect: Annotated[str, Choice(of=("cancel", "linger", "detach"))] = field(
        default="linger", kw_only=True
    )
    """When a run ends that the last viewer has left: at once, after `linger`, or not for that."""

    linger: SecondsOrZero = field(default=15.0, kw_only=True)
    """Seconds that a run waits for a viewer; then it ends as `abandoned`."""

    share: Annotated[bool | str, Choice(of=(False, True, "all"))] = field(
        default=False, kw_only=True
    )
    """Whether identical live runs are one: False, True for the same caller, "all"."""

    keep: SecondsOrZero = field(default=300.0, kw_only=True)
    """Seconds that a run can be replayed after its end; then it is gone."""

    params: Annotated[Mapping[str, Param], Anything()] = field(default_factory=dict, kw_only=True)
    """The parameters by their names, in the order in which they are shown."""

    upstreams: Annotated[Mapping[str, Upstream], Anything()] = field(
        default_factory=dict, kw_only=True
    )
    """The upstreams by their names, at least one."""

    _static_calls: Mapping[str, Call] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        hold_to_rules(self)
        for key, type_ in (("params", Param), ("upstreams", Upstream)):
            with under(key):
                object.__setattr__(self, key, _frozen(getattr(self, key), type_))
        if not self.upstreams:
            raise ConfigError("upstreams", "expected at least one upstream")
        for name in self.params:
            with under("params", name):
                _check_parameter_name(name)
        for name, upstream in self.upstreams.items():
            with under("upstreams", name):
                NAME_RULE.check(name)
                self._check_uses(upstream)
        # What no parameter stands in is the same in all runs.
        static = [name for name, up in self.upstreams.items() if next(up.uses(), None) is None]
        calls = {name: build_call(self.upstreams[name], {}) for name in static}
        object.__setattr__(self, "_static_calls", MappingProxyType(calls))

    def bind(self, given: Mapping[str, Any], *, typed: bool) -> dict[str, Value]:
        """Return the parameters of a run: in the declared order, defaults filled in.

        Args:
            given: What the caller gave.
            typed: Whether the values are JSON's, with their types; else they are a query's strings.

        Raises:
            InvalidParameter: Unknown, missing, of the wrong type, too long, not matching.
        """
        for name in given:
            if name not in self.params:
                said = str(name)[:_MAX_NAME_SAID].encode(errors="replace").decode()
                raise InvalidParameter(said, "is not a parameter of this feed")
        return {name: _bind(name, param, given, typed=typed) for name, param in self.params.items()}

    def build_calls(self, params: Mapping[str, Value]) -> dict[str, Call]:
        """Return the requests of a run to its upstreams, by their names.

        Args:
            params: The bound parameters.

        Raises:
            InvalidParameter: See `build_call`.
        """
        static = self._static_calls
        return {
            name: static.get(name) or build_call(upstream, params)
            for name, upstream in self.upstreams.items()
        }

    def describe(self) -> dict[str, Any]:
        """Return what anyone may know of the feed: no address, no header."""
        return {
            "name": self.name,
            "title": self.title,
            "params": {name: param.describe() for name, param in self.params.items()},
            "upstreams": list(self.upstreams),
        }

    def _check_uses(self, upstream: Upstream) -> None:
        for keys, name in upstream.uses():
            with under(*keys):
                check_known(name, self.params, what=f"parameter {name!r}")


def _bind(name: str, param: Param, given: Mapping[str, Any], *, typed: bool) -> Value:
    if name not in given:
        if param.default is None:
            raise InvalidParameter(name, "is missing")
        return param.default
    try:
        return param.bind(given[name], typed=typed)
    except ValueError as exc:
        raise InvalidParameter(name, str(exc)) from exc


def _frozen(table: Any, type_: type) -> Mapping[str, Any]:
    if not isinstance(table, Mapping):
        raise ConfigError("", "expected a table")
    for name, item in table.items():
        if not isinstance(item, type_):
            with under(str(name)):
                raise ConfigError("", f"expected {type_.__name__}")
    return MappingProxyType(dict(table))


def _check_parameter_name(name: str) -> None:
    _PARAMETER_RULE.check(name)
    if name in RESERVED_PARAMETERS:
        raise ConfigError("", "is a reserved name, which means something to every feed")
