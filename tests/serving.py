"""Applications as people run them: a server in a process of its own, on a port of its own.

`serving` starts `fanstream serve` on a configuration, `serving_command` any other command. Both
wait until a request is answered, give a `Served`, and end the process by its id. A configuration
says `${UPSTREAMS}` where its upstreams are; whoever starts the server gives that in `env`.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]
LOOPBACK = "127.0.0.1"
FANSTREAM = str(Path(sys.executable).with_name("fanstream"))

# Below the ports that kernels give out by themselves, so that no connection takes one between the
# look at it here and the start of the server.
_PORTS = range(20_000, 32_000)

# Seconds. Machines are shared: these only bound what would else hang.
_START_TIMEOUT = 30.0
_END_TIMEOUT = 20.0
_POLL_INTERVAL = 0.02


def free_port() -> int:
    """A port that nobody listens on, and that no connection will be given."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server that runs.

    Args:
        port: Where it listens on 127.0.0.1.
        process: The process that was started; of `fanstream serve`, the parent of the server.
        log_file: What it has written to its standard output and error.
    """

    port: int
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def base_url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://{LOOPBACK}:{self.port}"

    def log(self) -> str:
        """What it has written by now."""
        return self.log_file.read_text(errors="replace")

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the process a signal."""
        self.process.send_signal(number)

    def interrupt(self) -> None:
        """Do what Ctrl-C does: interrupt all processes of the terminal's group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self, *, timeout: float = _END_TIMEOUT) -> int:
        """Wait until the process has ended; return its exit status.

        Raises:
            subprocess.TimeoutExpired: It has not.
        """
        return self.process.wait(timeout)


def run_command(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path = ROOT, timeout: float = 30.0
) -> subprocess.CompletedProcess[str]:
    """Run a Python script or module that is to end by itself, such as `FANSTREAM`."""
    return subprocess.run(
        [sys.executable, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=_environment(env),
        cwd=cwd,
        timeout=timeout,
    )


@contextmanager
def serving(
    app: str,
    config: str,
    *,
    folder: Path,
    server: str | None = None,
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    cwd: Path = ROOT,
) -> Iterator[Served]:
    """Run `fanstream serve` for the block.

    Args:
        app: `quart` or `flask`.
        config: The configuration, in TOML.
        folder: Where its file and the log are written.
        server: As `--server` names it; None for the default.
        env: Variables beside the environment's, such as `UPSTREAMS`.
        options: More of the command's options.
        cwd: The working directory; an application that lies there is served instead.
    """
    port = free_port()
    file = folder / f"feeds-{port}.toml"
    file.write_text(config)
    arguments = ["serve", "--app", app, "--port", str(port), "--config", str(file), *options]
    arguments += ["--server", server] if server else []
    command = (FANSTREAM, *arguments)
    with serving_command(*command, port=port, folder=folder, env=env, cwd=cwd) as served:
        yield served


@contextmanager
def serving_command(
    *arguments: str,
    port: int,
    folder: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    python: str | Path = sys.executable,
) -> Iterator[Served]:
    """Run a server for the block, and end it if the block has not.

    Args:
        *arguments: What follows `python`; it has to make the server listen on `port`.
        port: That port.
        folder: Where the log is written.
        env: Variables beside the environment's.
        cwd: The working directory.
        python: The interpreter; the one that runs the tests, unless another is to be tried.
    """
    log_file = folder / f"server-{port}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [python, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(env),
            cwd=cwd,
            # Of its own, so that a test can be Ctrl-C, and Ctrl-C ends the tests first.
            process_group=0,
        )
    served = Served(port=port, process=process, log_file=log_file)
    try:
        _wait_ready(served)
        yield served
    finally:
        _end(served)


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    """Leave out what a person may have set for other purposes."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("FANSTREAM_")}
    return {**own, "PYTHONUNBUFFERED": "1", **(more or {})}


def _wait_ready(served: Served) -> None:
    """Wait until a request is answered, with whatever status."""
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        if (status := served.process.poll()) is not None:
            raise RuntimeError(f"the server ended with status {status}:\n{served.log()}")
        with suppress(httpx.TransportError):
            httpx.get(f"{served.base_url}/healthz", timeout=_START_TIMEOUT, trust_env=False)
            return
        time.sleep(_POLL_INTERVAL)
    raise RuntimeError(f"no answer for {_START_TIMEOUT:g} s:\n{served.log()}")


def _end(served: Served) -> None:
    if served.process.poll() is not None:
        return
    served.signal()
    try:
        served.wait()
    except subprocess.TimeoutExpired as exc:
        children = _children(served.process.pid)
        served.process.kill()
        served.wait()
        # A server that `fanstream serve` started leads a process group of its own.
        for child in children:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child, signal.SIGKILL)
        raise RuntimeError(f"the server did not end at SIGTERM:\n{served.log()}") from exc


def _children(pid: int) -> list[int]:
    """The processes that a process has started, where the kernel says so."""
    with suppress(OSError):
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    return []
