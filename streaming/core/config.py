"""A configuration document, as TOML gives it, made into Settings.

CONTRACT "Configuration": typed, unknown keys are errors, `${NAME}` comes from the environment. This
module knows which keys there are; what their values may be is said by the fields' rules. It must
not know of files: `streaming.config` finds and reads them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

from streaming.core.errors import ConfigError
from streaming.core.feed import NAME_RULE, Feed, Param, Upstream
from streaming.core.key_path import check_known, under
from streaming.core.rule import Rule, is_unicode, rules_of
from streaming.core.settings import AuthSettings, LogSettings, ServerSettings, Settings
from streaming.core.template import escape

T = TypeVar("T")

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def parse(document: Mapping[str, Any], *, env: Mapping[str, str]) -> Settings:
    """Make settings of a document.

    Args:
        document: Tables, as `tomllib` gives them.
        env: The environment that `${NAME}` is taken from.

    Raises:
        ConfigError: A mistake, with the whole path of its key, such as
            `feeds.city.upstreams.weather.timeout`. What came from the environment stands in none.
    """
    try:
        return _Reading(env).settings(document)
    except RecursionError:
        raise ConfigError("", "is nested too deeply") from None


class _Reading:
    """The reading of one document."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def settings(self, document: Any) -> Settings:
        parts: dict[str, Callable[[Any], Any]] = {
            "server": lambda table: self._make(ServerSettings, table),
            "log": lambda table: self._make(LogSettings, table),
            "auth": self._auth,
            "feeds": lambda table: self._each(table, self._feed),
        }
        return self._make(Settings, document, parts)

    def _auth(self, table: Any) -> AuthSettings:
        if isinstance(table, Mapping) and not {"jwt_secret", "jwks_url"} & set(table):
            table = {"jwt_secret": "${FANSTREAM_JWT_SECRET}", **table}
        return self._make(AuthSettings, table)

    def _feed(self, table: Any, name: str) -> Feed:
        NAME_RULE.check(name)
        parts: dict[str, Callable[[Any], Any]] = {
            "params": lambda table: self._each(table, lambda item, _: self._make(Param, item)),
            "upstreams": lambda table: self._each(
                table, lambda item, _: self._make(Upstream, item)
            ),
        }
        return self._make(Feed, table, parts, name=name)

    def _each(self, table: Any, make: Callable[[Any, str], T]) -> dict[str, T]:
        made = {}
        for name, item in _table(table).items():
            with under(name):
                made[name] = make(item, name)
        return made

    def _make(
        self,
        cls: type[T],
        table: Any,
        parts: Mapping[str, Callable[[Any], Any]] | None = None,
        **given: Any,
    ) -> T:
        """Make one dataclass of a table.

        Args:
            cls: The dataclass.
            table: Its fields by their names.
            parts: How the fields are made that are tables of tables.
            given: Fields that do not stand in the table.
        """
        known: dict[str, Field[Any]] = {
            field.name: field
            for field in fields(cls)  # type: ignore[arg-type]
            if field.init and field.name not in given
        }
        rules, values = rules_of(cls), dict(given)
        for key, value in _table(table).items():
            with under(key):
                check_known(key, known, what="key")
                part = (parts or {}).get(key)
                values[key] = part(value) if part else self._fill(value, rules.get(key))
        for field in known.values():
            if field.name not in values and field.default is field.default_factory is MISSING:
                raise ConfigError(field.name, "is missing, and there is no default")
        return cls(**values)

    def _fill(self, value: Any, rule: Rule | None) -> Any:
        """Replace `${NAME}` in every string of a value, at any depth; keys stay."""
        if rule is None or not rule.from_environment:
            return value
        if isinstance(value, str):
            return self._fill_text(value, is_template=rule.is_template)
        if isinstance(value, Mapping):
            return {key: self._fill_under(key, item, rule) for key, item in value.items()}
        if isinstance(value, list):
            return [self._fill_under(n, item, rule) for n, item in enumerate(value)]
        return value

    def _fill_under(self, key: str | int, value: Any, rule: Rule) -> Any:
        with under(key):
            return self._fill(value, rule)

    def _fill_text(self, text: str, *, is_template: bool) -> str:
        # In a template a brace that names no variable is a matter of the template: `${{x}}`.
        if not is_template and "${" in _VARIABLE.sub("", text):
            raise ConfigError("", "has a '${' that names no variable; write ${NAME}")
        # What comes from the environment is literal, whatever braces are in it.
        write = escape if is_template else str
        return _VARIABLE.sub(lambda match: write(self._variable(match[1])), text)

    def _variable(self, name: str) -> str:
        value = self._env.get(name)
        if value is None:
            raise ConfigError("", f"environment variable {name} is not set")
        if not is_unicode(value):
            raise ConfigError("", f"environment variable {name} is not valid UTF-8")
        return value


def _table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError("", "expected a table")
    return value
