"""Applications that run on a server and can be looked into: from within, and by the kernel.

`inspecting` starts `fanstream serve` with the applications of `tests/inspected`. The kernel is
asked about the process that answers, which need not be the one that was started.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.serving import FANSTREAM, ROOT, Served, free_port, serving_command
from tests.viewing import ask, client

_FOLDER = Path(__file__).parent / "inspected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """A server that runs, seen from outside.

    Args:
        served: The server.
        pid: Its process that answers.
        asking: What it is looked at by, on one connection: a server may hold one that was closed
            for some seconds, and each look would be seen by the next.
    """

    served: Served
    pid: int
    asking: httpx.Client

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return self.served.port

    @property
    def base_url(self) -> str:
        """Where it answers, without a slash at the end."""
        return self.served.base_url

    def look(self) -> dict[str, Any]:
        """What `Inside.look` says, after the garbage was collected."""
        seen: dict[str, Any] = self.asking.get("/inside").json()
        return seen

    def meet(self, threads: int) -> None:
        """Have so many of its threads, where it has a pool of them, work at once."""
        with ThreadPoolExecutor(threads) as clients:
            asked = [clients.submit(ask, self.base_url, f"/meet/{threads}") for _ in range(threads)]
            assert {each.result().status_code for each in asked} == {200}

    def descriptors(self) -> int:
        """How many descriptors are open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def threads(self) -> int:
        """How many threads of the operating system there are."""
        return int(self._status("Threads"))

    def memory_bytes(self) -> int:
        """The memory that is resident, less what is shared with files."""
        return int(self._status("RssAnon").removesuffix("kB")) * 1024

    def _status(self, name: str) -> str:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(line for line in lines if line.startswith(f"{name}:")).partition(":")[2].strip()


@contextmanager
def inspecting(
    app: str,
    config: str,
    *,
    folder: Path,
    server: str | None = None,
    env: Mapping[str, str],
    options: Sequence[str] = (),
) -> Iterator[Inspected]:
    """Run `fanstream serve` for the block; see `tests.serving.serving`."""
    port = free_port()
    file = folder / f"feeds-{port}.toml"
    file.write_text(config)
    arguments = ["serve", "--app", app, "--port", str(port), "--config", str(file), *options]
    arguments += ["--server", server] if server else []
    # A module in the working directory is found before the application that is installed.
    with (
        serving_command(
            *(FANSTREAM, *arguments),
            port=port,
            folder=folder,
            env={"PYTHONPATH": str(ROOT), **env},
            cwd=_FOLDER,
        ) as served,
        client(served.base_url) as asking,
    ):
        pid = asking.get("/inside").json()["pid"]
        yield Inspected(served=served, pid=pid, asking=asking)
