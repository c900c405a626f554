"""The parent of a server: what becomes of the server when either ends, in any way."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from streaming import supervisor
from streaming.supervisor import Supervisor
from tests.serving import LOOPBACK, ROOT, Served, free_port, serving
from tests.upstreams import UpstreamsThread
from tests.viewing import ask, eventually, reading, watching

CONFIG = """
[server]
drain_timeout = 2.0

[feeds.one.upstreams.a]
url = "http://127.0.0.1:9/"
"""


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


@pytest.mark.parametrize("app", ["quart", "flask"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_server_does_not_outlive_its_parent(app, number, tmp_path):
    """Killed, or hung up on by its terminal: the port is free again soon, engine or no engine."""
    with serving(app, CONFIG, folder=tmp_path) as running:
        assert ask(running.base_url, "/healthz").status_code == 200
        running.signal(number)
        eventually(lambda: not is_listening(running.port))


# ------------------------------------------------------------------------ two signals

HELD = """
[server]
drain_timeout = 60.0

[feeds.held.upstreams.a]
url = "${UPSTREAMS}/never"
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for what is temporary; pytest's own are too deep for a socket."""
    with tempfile.TemporaryDirectory(prefix="fs-") as folder:
        yield Path(folder)


def servers_of(served: Served) -> list[int]:
    """Return the processes that a command has started."""
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
    return [int(child) for child in children.read_text().split()]


def is_group(id: int) -> bool:
    """Say whether a process group has a member."""
    try:
        os.killpg(id, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists a process's children")
@pytest.mark.parametrize(
    ("app", "server"), [("quart", "uvicorn"), ("quart", "hypercorn"), ("flask", "gunicorn")]
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(app, server, number, tmp_path, temporary):
    """With streams open, and nothing stays: no process, and no folder."""
    with UpstreamsThread() as upstreams, ExitStack() as stack:
        env = {"UPSTREAMS": upstreams.base_url, "TMPDIR": str(temporary)}
        served = stack.enter_context(serving(app, HELD, folder=tmp_path, server=server, env=env))
        viewers = [stack.enter_context(watching(served.base_url, "/feeds/held")) for _ in range(3)]
        for viewer in viewers:
            viewer.until("start")
        (group,) = servers_of(served)
        served.signal(number)
        eventually(lambda: "again ends at once" in served.log())
        told = time.monotonic()
        served.signal(number)
        assert served.wait() == 0
    assert time.monotonic() - told < 10
    eventually(lambda: not is_group(group))
    assert not list(temporary.iterdir())


# ------------------------------------------------------------------ what has to be done at an end

NOTED = ROOT / "tests" / "noted"


@pytest.mark.parametrize("server", ["waitress", "werkzeug"])
def test_a_server_waits_for_views_and_teardown_functions(server, tmp_path):
    """Also one that knows no orderly end itself, and a viewer that takes nothing."""
    env = {"NOTES": str(tmp_path / "notes")}
    options = {"folder": tmp_path, "server": server, "env": env, "cwd": NOTED}
    config = "[server]\ndrain_timeout = 8.0\n[feeds]\n"
    with serving("flask", config, **options) as served, ExitStack() as stack:
        for path in ("/plain", "/async"):
            next(stack.enter_context(watching(served.base_url, path)))
        stack.enter_context(reading(served.port, "/flood"))
        served.signal()
        assert served.wait() == 0
    noted = Counter((tmp_path / "notes").read_text().split())
    assert (noted["plain"], noted["async"], noted["flood"]) == (1, 1, 1)
    # Before each body and after it, and for the request that the start waits for.
    assert (noted["request"], noted["appcontext"]) == (7, 7)


# ------------------------------------------------------- servers that do not do as they should

LISTENING = f"""
import signal, socket, sys, time
listener = socket.create_server(("{LOOPBACK}", int(sys.argv[1])))
"""
IGNORING = (
    LISTENING
    + """
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
time.sleep(600)
"""
)
ENDING = """
import os, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
os.kill(os.getpid(), int(sys.argv[2])) if sys.argv[2] != "0" else sys.exit(7)
"""


class Supervised:
    """A supervisor, and when its server takes connections."""

    def __init__(self, program: str, *arguments: str, drain_timeout: float = 60.0) -> None:
        self.ready = asyncio.Event()
        port = free_port()
        self.supervisor = Supervisor(
            [sys.executable, "-c", program, str(port), *arguments],
            env=os.environ,
            host=LOOPBACK,
            port=port,
            drain_timeout=drain_timeout,
            end_signal=signal.SIGTERM,
            on_ready=self.ready.set,
            on_ending=lambda: None,
        )


async def test_a_server_that_ignores_the_word_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `GRACE`, with status 0: the parent ended as it was told to."""
    monkeypatch.setattr(supervisor, "GRACE", 0.2)
    it = Supervised(IGNORING)
    async with asyncio.timeout(20):
        running = asyncio.create_task(it.supervisor.run())
        await it.ready.wait()
        it.supervisor._receive_signal()
        assert await running == 0


async def test_a_second_signal_does_not_wait_for_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also once the streams are over and the server has been told to end."""
    monkeypatch.setattr(supervisor, "GRACE", 600.0)
    it = Supervised(IGNORING)
    ending = asyncio.Event()
    signal_group = supervisor._signal_group

    def note(server: Any, number: signal.Signals) -> None:
        signal_group(server, number)
        ending.set()

    monkeypatch.setattr(supervisor, "_signal_group", note)
    async with asyncio.timeout(20):
        running = asyncio.create_task(it.supervisor.run())
        await it.ready.wait()
        it.supervisor._receive_signal()
        await ending.wait()
        it.supervisor._receive_signal()
        assert await running == 0


@pytest.mark.parametrize(("number", "status"), [("0", 7), ("9", 137), ("11", 139)])
async def test_a_server_that_ends_by_itself_ends_its_parent(number: str, status: int) -> None:
    """With its status, as a shell says it, and with nothing of its group left."""
    it = Supervised(ENDING, number)
    groups = []
    create = asyncio.create_subprocess_exec

    async def note(*arguments: Any, **more: Any) -> asyncio.subprocess.Process:
        process = await create(*arguments, **more)
        groups.append(process.pid)
        return process

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "create_subprocess_exec", note)
        async with asyncio.timeout(20):
            assert await it.supervisor.run() == status
    eventually(lambda: not is_group(groups[0]))


async def test_a_signal_before_the_server_is_ready_ends_it() -> None:
    """There is nobody to wait for yet."""
    it = Supervised("import time; time.sleep(600)")
    async with asyncio.timeout(20):
        running = asyncio.create_task(it.supervisor.run())
        await asyncio.sleep(0)
        it.supervisor._receive_signal()
        assert await running == 0
