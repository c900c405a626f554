"""One of several processes that serve the same runs: killed, frozen, drained and started again."""

import os
import signal
import time
from collections import deque
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.serving import FANSTREAM, LOOPBACK, Served, free_port, serving_command

# Seconds. Machines are shared: these only bound what would else hang.
_END_TIMEOUT = 20.0
_POLL_INTERVAL = 0.01


class Member:
    """`fanstream serve` on a port that stays the same over all its starts.

    Args:
        app: `quart` or `flask`.
        config: The configuration's file.
        folder: Where its logs are written, one for each start.
        env: Variables beside the environment's.

    Attributes:
        port: Where it listens on 127.0.0.1.
    """

    def __init__(self, app: str, *, config: Path, folder: Path, env: dict[str, str]) -> None:
        self.app = app
        self.port = free_port()
        self._config = config
        self._folder = folder
        self._env = env
        self._stack = ExitStack()
        self._logs: list[Path] = []
        self._served: Served | None = None

    @property
    def base_url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://{LOOPBACK}:{self.port}"

    def log(self) -> str:
        """What it has written by now, over all its starts."""
        return "".join(log.read_text(errors="replace") for log in self._logs)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self._served is None, "it runs"
        folder = self._folder / f"{self.port}-{len(self._logs) + 1}"
        folder.mkdir()
        self._logs.append(folder / f"server-{self.port}.log")
        command = (FANSTREAM, "serve", "--app", self.app, "--port", str(self.port))
        config = ("--config", str(self._config))
        serving = serving_command(*command, *config, port=self.port, folder=folder, env=self._env)
        self._served = self._stack.enter_context(serving)

    def kill(self) -> None:
        """End it as `kill -9` does: the server, its workers, and then what watches over them."""
        served = self._running()
        # From the top: who is killed starts no other in place of those that are killed next.
        for pid in (*self._descendants(), served.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._close()

    def freeze(self) -> None:
        """Have it do nothing, with all its connections open."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        self._signal_all(signal.SIGCONT)

    def begin_drain(self) -> None:
        """Tell it to end in order, and do not wait for that."""
        self._running().signal(signal.SIGTERM)

    def wait_end(self) -> None:
        """Wait until it has ended."""
        assert self._running().wait(timeout=_END_TIMEOUT) == 0, self.log()
        self._close()

    def stop(self) -> None:
        """End it in order; harmless where it does not run."""
        if self._served is not None:
            self.thaw()
            self._close()

    def _close(self) -> None:
        self._stack.close()
        self._served = None

    def _running(self) -> Served:
        assert self._served is not None, "it does not run"
        return self._served

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._descendants():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _descendants(self) -> list[int]:
        """The server's processes, each before those that it has started."""
        found: list[int] = []
        asked = deque([self._running().process.pid])
        while asked:
            pid = asked.popleft()
            with suppress(OSError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                found += map(int, children)
                asked += map(int, children)
        return found


def wait_for_log(member: Member, words: str, *, timeout: float, count: int = 1) -> None:
    """Wait until a member has written something, so many times since its first start.

    Raises:
        AssertionError: It has not.
    """
    deadline = time.monotonic() + timeout
    while member.log().count(words) < count:
        assert time.monotonic() < deadline, member.log()
        time.sleep(_POLL_INTERVAL)
