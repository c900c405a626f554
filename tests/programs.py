"""Programs that tests start and that a machine may not have, such as redis-server and nginx."""

import os
import shutil

import pytest


def find_program(name: str) -> str:
    """Return where a program is; skip the test where it is not, and fail it where `$CI` is set."""
    # Where Debian puts what only its root is expected to start.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(name, path=path)
    if found is None and not os.environ.get("CI"):
        pytest.skip(f"{name} is not installed")
    assert found is not None, f"CI needs {name}"
    return found
