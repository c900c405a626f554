"""A redis-server of a test's own, that can be killed, frozen and started again.

All of it blocks, for milliseconds: what it is asked is answered at once, or not at all.

    with redis_serving(tmp_path) as redis:
        redis.cli("SET", "a", "b")
        redis.restart()          # kill -9, and from its append-only file
"""

import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import redis

from tests.programs import find_program
from tests.serving import LOOPBACK, free_port

# Each change is on the disk before it is answered: a kill loses nothing.
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")

# Seconds. Machines are shared: these only bound what would else hang.
_START_TIMEOUT = 20.0
_REPLY_TIMEOUT = 10.0
_END_TIMEOUT = 10.0
_POLL_INTERVAL = 0.01


class RedisServer:
    """A redis-server on a port of its own, the same after each start; see `redis_serving`.

    Args:
        folder: Where its files and its log are; they outlive its process.
        options: More of its command's options, such as `"--maxmemory", "8mb"`.
        is_cluster: Whether it is a cluster of one node, which has all slots.

    Attributes:
        port: Where it listens on 127.0.0.1.
        log_file: What it has written to its standard output and error, over all its starts.
    """

    def __init__(
        self, folder: Path, *, options: Sequence[str] = ALWAYS, is_cluster: bool = False
    ) -> None:
        self.port = free_port()
        self.folder = folder / f"redis-{self.port}"
        self.folder.mkdir(parents=True)
        self.log_file = self.folder / "redis.log"
        self._options = [*options]
        self._is_cluster = is_cluster
        self._has_slots = False
        if is_cluster:
            self._options += ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What `[log] url` is."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None, "it was not started"
        return self._process.pid

    def log(self) -> str:
        """What it has written by now."""
        return self.log_file.read_text(errors="replace")

    def start(self) -> Self:
        """Start it, from what is in its folder, and wait until it answers."""
        assert self._process is None, "it runs"
        fixed = ["--port", str(self.port), "--bind", LOOPBACK, "--dir", str(self.folder)]
        command = [find_program("redis-server"), *fixed, "--save", "", *self._options]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self._wait_ready()
        if self._is_cluster:
            self._form_cluster()
        return self

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order; harmless where it does not run."""
        if self._process is not None:
            self.thaw()
            self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill it, and start it again."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Have it answer nothing, with all its connections open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on; harmless where it was not frozen."""
        self._signal(signal.SIGCONT)

    def cli(self, *words: Any) -> Any:
        """Ask something, as `redis-cli` does, such as `cli("CLIENT", "LIST")`; text comes as str.

        Raises:
            redis.RedisError: It is not there, or refuses.
        """
        with self.client() as client:
            return client.execute_command(*words)

    def client(self) -> redis.Redis:
        """A client of its own, for many questions; to be closed by who asks for it."""
        return redis.Redis(
            host=LOOPBACK,
            port=self.port,
            decode_responses=True,
            socket_timeout=_REPLY_TIMEOUT,
            client_name="tests",
        )

    def client_names(self) -> list[str]:
        """The names of the connections that are open now, sorted, less those of the tests."""
        names = re.findall(r" name=(\S*) ", self.cli("CLIENT", "LIST"))
        return sorted(name for name in names if name != "tests")

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        self._signal(number)
        assert self._process is not None
        try:
            self._process.wait(_END_TIMEOUT)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _wait_ready(self) -> None:
        """Wait until it has read its files."""
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            assert self._process is not None
            if (status := self._process.poll()) is not None:
                self._process = None
                raise RuntimeError(f"redis-server ended with status {status}:\n{self.log()}")
            try:
                self.cli("PING")
            except redis.RedisError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_INTERVAL)
            else:
                return

    def _form_cluster(self) -> None:
        if not self._has_slots:
            self.cli("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            self._has_slots = True
        deadline = time.monotonic() + _START_TIMEOUT
        while "cluster_state:ok" not in self.cli("CLUSTER", "INFO"):
            assert time.monotonic() < deadline, self.log()
            time.sleep(_POLL_INTERVAL)


@contextmanager
def redis_serving(
    folder: Path, *, options: Sequence[str] = ALWAYS, is_cluster: bool = False
) -> Iterator[RedisServer]:
    """Run a redis-server for the block; see `RedisServer`."""
    server = RedisServer(folder, options=options, is_cluster=is_cluster)
    server.start()
    try:
        yield server
    finally:
        server.stop()
