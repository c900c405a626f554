"""On what the figures were measured: they mean little without it."""

import contextlib
import importlib.metadata
import os
import platform


def versions(*names: str) -> str:
    """Name the interpreter, those of the packages that are installed, and the machine."""
    with_versions = [f"{platform.python_implementation()} {platform.python_version()}"]
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            with_versions.append(f"{name} {importlib.metadata.version(name)}")
    return ", ".join(with_versions) + f"; {os.cpu_count()} cores, {platform.system()}"
