"""The load programs as processes: an upstream that serves, and a client's figures.

Without a C compiler the tests that need them are skipped; in CI they fail.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.load.build import CannotBuildError, built

TIMEOUT = 30.0

Figures = dict[str, Any]

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has epoll")


def program(name: str) -> Path:
    try:
        return built(name)
    except CannotBuildError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))


@contextmanager
def upstream() -> Iterator[int]:
    """Serve, and give the port."""
    with upstream_process() as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


@contextmanager
def upstream_process() -> Iterator[subprocess.Popen[bytes]]:
    command = (program("upstream"),)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(TIMEOUT)


def run_client(*args: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with the line it waits for already there."""
    command = (program("client"), *args)
    return subprocess.run(
        command, input="\n", capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


def figures(mode: str, port: int, path: str, *args: str, connections: int = 1) -> Figures:
    """What a client prints at its end, once it has ended well."""
    target = ("--port", str(port), "--path", path, "--connections", str(connections))
    done = run_client(mode, *target, *args)
    assert done.returncode == 0, done.stderr
    ready, end = map(json.loads, done.stdout.splitlines())
    assert (ready["phase"], end["phase"]) == ("ready", "end")
    return end
