"""A redis-server of the benchmark's own, and what it says of itself.

It listens on a port that nobody else has, keeps its files in a folder of its own below `.bench`,
which is on a disk, and is ended by its id.
"""

import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import RedisError

from benchmarks.load.build import BIN
from streaming.engine.redis_keys import log_key, meta_key, viewers_key
from tests.serving import free_port

PERSISTENCE = {
    "always": ("--appendonly", "yes", "--appendfsync", "always"),
    "no-aof": ("--appendonly", "no"),
}
"""What of it a redis-server is told, by name."""

START_TIMEOUT = 10.0
END_TIMEOUT = 10.0
MOST_SAMPLED = 100
"""Runs at most of which the memory of the keys is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What a redis-server has done until now.

    Args:
        appended: Events that were appended to streams.
        scripts: Scripts that were run.
        received: Bytes that came over its connections.
        sent: Bytes that it sent over them.
    """

    appended: int
    scripts: int
    received: int
    sent: int


class RedisServer:
    """One that runs.

    Args:
        port: Where it listens.
        pid: Its process.
    """

    def __init__(self, *, port: int, pid: int) -> None:
        self.url = f"redis://127.0.0.1:{port}"
        self.pid = pid
        self._client = Redis(port=port, client_name="benchmark", protocol=2)

    def version(self) -> str:
        """Return its version."""
        return str(self._info("server")["redis_version"])

    def appended(self) -> int:
        """Return how many events were appended until now, by scripts as well."""
        return _calls(self._info("commandstats"), "xadd")

    def counters(self) -> Counters:
        """Return what it has done until now."""
        commands, stats = self._info("commandstats"), self._info("stats")
        return Counters(
            appended=_calls(commands, "xadd"),
            scripts=_calls(commands, "evalsha") + _calls(commands, "eval"),
            received=int(stats["total_net_input_bytes"]),
            sent=int(stats["total_net_output_bytes"]),
        )

    def connections(self) -> Counter[str]:
        """Count the connections, by the names that `CLIENT LIST` has for them."""
        each: list[dict[str, str]] = self._client.client_list()  # type: ignore[assignment]
        return Counter(one["name"] for one in each if one["name"] != "benchmark")

    def run_bytes(self, runs: Sequence[str]) -> float:
        """Return the bytes of all keys of a run, the mean of some of these."""
        some = runs[:MOST_SAMPLED]
        pipeline = self._client.pipeline(transaction=False)
        for key in (key(run) for run in some for key in (log_key, meta_key, viewers_key)):
            pipeline.memory_usage(key, samples=0)
        return sum(each or 0 for each in pipeline.execute()) / len(some)

    def close(self) -> None:
        """Close the benchmark's own connection."""
        self._client.close()

    def wait_ready(self) -> None:
        """Wait until it answers.

        Raises:
            RuntimeError: It does not.
        """
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            with suppress(NotConnected):
                self._client.ping()
                return
            time.sleep(0.02)
        raise RuntimeError("redis-server does not answer")

    def _info(self, section: str) -> dict[str, Any]:
        found: dict[str, Any] = self._client.info(section)  # type: ignore[assignment]
        return found


def _calls(commands: dict[str, Any], name: str) -> int:
    return int(commands.get(f"cmdstat_{name}", {"calls": 0})["calls"])


@contextmanager
def redis_server(persistence: str, *, core: int) -> Iterator[RedisServer]:
    """Run one for the block.

    Args:
        persistence: A name of `PERSISTENCE`.
        core: Where it runs.
    """
    port = free_port()
    BIN.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="redis-", dir=BIN.parent) as folder:
        command = (
            *("taskset", "-c", str(core), "redis-server", "--port", str(port)),
            *("--bind", "127.0.0.1", "--dir", folder, "--save", "", *PERSISTENCE[persistence]),
        )
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            server = RedisServer(port=port, pid=process.pid)
            try:
                server.wait_ready()
                yield server
            finally:
                with suppress(RedisError):
                    server.close()
                _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
