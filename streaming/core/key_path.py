"""Key paths: where in the configuration a mistake stands, such as `feeds.city.timeout`.

What checks a value knows only the part of the path that is its own; `under` puts the rest before it
on the way out. Keys are written as TOML writes them, an index as `[2]`.
"""

import difflib
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from streaming.core.errors import ConfigError

Keys = tuple[str | int, ...]
"""The way to a value: keys of tables, and indexes of lists."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_MAX_SHOWN_LENGTH = 100


@contextmanager
def under(*keys: str | int) -> Iterator[None]:
    """Put keys, and indexes of lists, before the path of a ConfigError that passes."""
    try:
        yield
    except ConfigError as exc:
        path = _join(*map(_written, keys), exc.path)
        # `from None`: what was refused may be a secret, and a traceback is read by many.
        raise ConfigError(path, exc.reason, file=exc.file) from None


def check_known(name: str, known: Collection[str], *, what: str) -> None:
    """Refuse a name that is not among the known ones, and say which one may be meant.

    Raises:
        ConfigError: It is unknown.
    """
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError("", f"unknown {what}{hint}")


def _written(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    if _BARE_KEY.fullmatch(key):
        return key
    return '"' + key[:_MAX_SHOWN_LENGTH].encode("unicode_escape").decode() + '"'


def _join(*parts: str) -> str:
    path = ""
    for part in filter(None, parts):
        path += f".{part}" if path and not part.startswith("[") else part
    return path
