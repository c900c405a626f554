"""One peer, running: started on the cores it is given, asked until it answers, and ended.

What it and its services write goes to files in a folder of their own, which is gone afterwards;
their last lines are shown where it does not start.
"""

import http.client
import os
import resource
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM

from benchmarks.peers.table import Peer

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 30
END_SECONDS = 3


class DidNotStartError(Exception):
    """The server ended, or did not answer in time; has the end of what it wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that answers on its port."""

    port: int
    pid: int

    def pids(self) -> list[int]:
        """List its process and all those that come from it, from /proc."""
        children: dict[int, list[int]] = {}
        for pid, parent in parents().items():
            children.setdefault(parent, []).append(pid)
        found = [self.pid]
        for pid in found:
            found += children.get(pid, [])
        return found


@contextmanager
def running(peer: Peer, *, upstream_url: str, cores: set[int] | None) -> Iterator[Running]:
    """Run the peer's server, on these cores or, for None, wherever the system puts it.

    Raises:
        DidNotStartError: it does not answer on /ready.
    """
    allow_many_files()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peer-")))
        folder.chmod(0o755)  # nginx's worker is another user
        port = free_port()
        env = os.environ | {"PYTHONPATH": str(ROOT)} | peer.env(port, upstream_url)
        if "redis" in peer.services:
            env["REDIS_URL"] = stack.enter_context(redis(folder, not_on=cores))
        command = peer.command(port, upstream_url, folder)
        log = folder / "log"
        server = stack.enter_context(process(command, env=env, cores=cores, log=log))
        wait_for(server, port, log)
        if peer.publishes:
            request(port, "POST", "/hello", b"{}")
        yield Running(port=port, pid=server.pid)


@contextmanager
def redis(folder: Path, *, not_on: set[int] | None) -> Iterator[str]:
    """Run a Redis that keeps nothing, beside the client; yield its URL."""
    port, log = free_port(), folder / "redis.log"
    cores = (os.sched_getaffinity(0) - not_on or None) if not_on else None
    options = ("--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly", "no")
    command = ["redis-server", "--port", str(port), *options, "--maxclients", "15000"]
    with process(command, env=dict(os.environ), cores=cores, log=log) as server:
        wait_for_port(server, port, log)
        yield f"redis://127.0.0.1:{port}"


@contextmanager
def process(
    command: list[str], *, env: dict[str, str], cores: set[int] | None, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a group of its own, and end the group."""
    if cores:
        command = ["taskset", "-c", ",".join(map(str, sorted(cores))), *command]
    with log.open("wb") as written:
        server = subprocess.Popen(
            command,
            cwd=log.parent,  # not the repository, whose gunicorn.conf.py is fanstream's
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            start_new_session=True,
        )
    try:
        yield server
    finally:
        end(server)


def end(server: subprocess.Popen[bytes]) -> None:
    """Ask it to end, then end what is left of its group: some wait for their streams for ever."""
    server.send_signal(SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.wait(END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, SIGKILL)
    server.wait()


# ------------------------------------------------------------------------- waiting


def wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = wait_for_port(server, port, log)
    while request(port, "GET", "/ready") != 200:
        check(server, deadline, log)


def wait_for_port(server: subprocess.Popen[bytes], port: int, log: Path) -> float:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            check(server, deadline, log)
        else:
            return deadline


def check(server: subprocess.Popen[bytes], deadline: float, log: Path) -> None:
    """Wait a moment; raise where it has ended, or had its time."""
    time.sleep(0.05)
    if server.poll() is not None or time.monotonic() > deadline:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise DidNotStartError(f"{server.args} does not answer; it wrote:\n{tail}")


def request(port: int, method: str, path: str, body: bytes | None = None) -> int:
    """Return the answer's status, or 0 where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


# ---------------------------------------------------------------------- the system


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def allow_many_files() -> None:
    """Raise the soft limit to the hard one, for this process and those that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def parents() -> dict[int, int]:
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(stat.parent.name)] = int(after_name[1])
    return found
