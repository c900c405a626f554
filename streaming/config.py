"""Finds and reads the configuration file.

CONTRACT "Configuration": `--config`, then `$FANSTREAM_CONFIG`, then `./feeds.toml`; with none of
them the demo's feeds. What a document may say is judged in `streaming.core.config`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from streaming.core.config import parse
from streaming.core.errors import ConfigError
from streaming.core.key_path import under
from streaming.core.settings import Settings

CONFIG_VARIABLE = "FANSTREAM_CONFIG"
"""The environment variable that names the file; empty counts as unset."""

DEFAULT_FILE = "feeds.toml"
"""The file that is read where none is named, if it is there."""

DEMO_UPSTREAMS_VARIABLE = "FANSTREAM_DEMO_UPSTREAMS"
"""The environment variable that says where the demo's upstreams are."""

DEMO_UPSTREAMS = "http://127.0.0.1:8001"
"""Where they are when it does not say so."""

DEMO_SOURCE = "the demo feeds"
"""What `Loaded.source` says when no file was found."""

MAX_FILE_BYTES = 1_048_576
"""Bytes of a configuration file; a longer one is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Settings, and where they come from.

    Args:
        settings: What was read.
        source: The file's path, as it was named; for the demo, `DEMO_SOURCE`.
        is_demo: Whether no file was found: whoever starts has to say so.
    """

    settings: Settings
    source: str
    is_demo: bool


def load(path: str | None, *, env: Mapping[str, str], cwd: Path) -> Loaded:
    """Find and read the configuration.

    Args:
        path: What `--config` says; None where it does not.
        env: The environment.
        cwd: The directory that relative paths begin at.

    Raises:
        ConfigError: The file is missing, unreadable, too long, not UTF-8, not TOML, or has a
            mistake; its `file` is filled in.
    """
    named = path or env.get(CONFIG_VARIABLE) or None
    if named is None and not (cwd / DEFAULT_FILE).exists():
        return _load_demo(env)
    source = named or DEFAULT_FILE
    settings = _parse(_read(cwd / source, source), source=source, env=env)
    _check_ca_files(settings, cwd=cwd, source=source)
    return Loaded(settings=settings, source=source, is_demo=False)


def _load_demo(env: Mapping[str, str]) -> Loaded:
    data = (files("streaming") / "demo" / "feeds.toml").read_bytes()
    settings = _parse(
        data, source=DEMO_SOURCE, env={DEMO_UPSTREAMS_VARIABLE: DEMO_UPSTREAMS, **env}
    )
    return Loaded(settings=settings, source=DEMO_SOURCE, is_demo=True)


def _read(path: Path, source: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ConfigError("", f"cannot be read: {exc.strerror}", file=source) from exc
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError("", f"is longer than {MAX_FILE_BYTES} bytes", file=source)
    return data


def _check_ca_files(settings: Settings, *, cwd: Path, source: str) -> None:
    """Refuse a missing file at the start, rather than at the first call of its upstream."""
    for feed in settings.feeds.values():
        for name, upstream in feed.upstreams.items():
            if upstream.ca_file and not (cwd / upstream.ca_file).is_file():
                with under("feeds", feed.name, "upstreams", name, "ca_file"):
                    raise ConfigError("", "there is no such file", file=source)


def _parse(data: bytes, *, source: str, env: Mapping[str, str]) -> Settings:
    try:
        return parse(_document(data), env=env)
    except ConfigError as exc:
        raise ConfigError(exc.path, exc.reason, file=source) from None


def _document(data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigError("", f"is not UTF-8 (at line {line})") from exc
    except RecursionError as exc:
        raise ConfigError("", "is nested too deeply") from exc
    except ValueError as exc:
        raise ConfigError("", f"is not TOML: {exc}") from exc
