"""The C programs at work: the upstream on a core, and the client's talk with the harness.

The client says `ready` when what is measured begins, and waits for a line; then it says `end`, with
its figures. What is started here is ended by its id, and bounded in time.
"""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.contender import Running
from benchmarks.load.build import built


class ClientError(Exception):
    """The client has ended before its time, or said what it should not."""


@contextmanager
def upstream(core: int) -> Iterator[Running]:
    """Run the upstream for the block."""
    command = ["taskset", "-c", str(core), str(built("upstream"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield Running(port=int(process.stdout.readline().split()[-1]), pid=process.pid)
        finally:
            process.stdin.close()
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()


def run_client(
    *arguments: str,
    core: int,
    timeout: float,
    begin: Callable[[], None],
    end: Callable[[], None],
) -> dict[str, Any]:
    """Run the client to its end; return what it says at `ready` and at `end`.

    Args:
        *arguments: Its command and options.
        core: Where it runs.
        timeout: Seconds after which it is ended.
        begin: Called before what is measured begins.
        end: Called at once when it has.

    Raises:
        ClientError: It has failed.
    """
    command = ["taskset", "-c", str(core), str(built("client")), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin
        bound = threading.Timer(timeout, process.kill)
        bound.start()
        try:
            ready = _said(process, "ready")
            begin()
            process.stdin.write("\n")
            process.stdin.flush()
            ended = _said(process, "end")
            end()
        finally:
            bound.cancel()
            process.kill()
    return {**ready, **ended}


def _said(process: subprocess.Popen[str], phase: str) -> dict[str, Any]:
    assert process.stdout
    assert process.stderr
    line = process.stdout.readline()
    if not line:
        raise ClientError(process.stderr.read().strip()[-500:] or f"no {phase} from the client")
    said: dict[str, Any] = json.loads(line)
    if said.get("phase") != phase:
        raise ClientError(f"{line.strip()} in place of {phase}")
    return said
