"""A failover by Sentinel: a replica is promoted, and runs go on there."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis as redis_py

from tests.processes.audience import Audience
from tests.processes.fleet import fleet_of
from tests.processes.ledger import Ledger, check_whole
from tests.programs import find_program
from tests.redis_server import ALWAYS, RedisServer, redis_serving
from tests.serving import LOOPBACK, free_port
from tests.viewing import eventually

# Milliseconds without a reply after which Sentinel takes a master for dead.
_DOWN_AFTER = 1000

_CONFIG = """\
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor events 127.0.0.1 {master} 1
sentinel down-after-milliseconds events {down_after}
sentinel failover-timeout events 5000
"""


async def test_runs_go_on_after_a_failover(tmp_path: Path, key: str) -> None:
    """Viewers stay, and see every event once, though the master is killed for good."""
    with ExitStack() as stack:
        master = stack.enter_context(redis_serving(tmp_path))
        options = (*ALWAYS, "--replicaof", f"{LOOPBACK} {master.port}")
        replica = stack.enter_context(redis_serving(tmp_path, options=options))
        port = stack.enter_context(_watching(master, replica, folder=tmp_path))
        url = f"redis+sentinel://{LOOPBACK}:{port}/events"
        fleet = stack.enter_context(
            fleet_of("quart", "flask", redis=replica, folder=tmp_path, url=url)
        )
        async with Audience(fleet.members[0].base_url, timeout=60.0) as audience:
            run = await audience.start_run("ticks", {"key": key, "lines": 200})
            for member in fleet.members:
                audience.watch(run, viewers=5, base_url=member.base_url)
            await audience.wait_count("open", 10)
            await audience.wait_event(run, "chunk", count=20)
            await asyncio.to_thread(master.kill)
        story = audience.story(run)
        assert check_whole(story, upstreams=["lines"])["reason"] == "finished"
        assert len(story.named("chunk")) == 200
        assert story.ends == 10
        assert audience.reconnects == 0
        assert Ledger(fleet.upstreams).repeated == 0
        assert replica.cli("ROLE")[0] == "master"


@contextmanager
def _watching(master: RedisServer, replica: RedisServer, *, folder: Path) -> Iterator[int]:
    """Run a Sentinel that decides alone; give its port once it knows both."""
    port, folder = free_port(), folder / "sentinel"
    folder.mkdir()
    config = folder / "sentinel.conf"
    config.write_text(
        _CONFIG.format(port=port, folder=folder, master=master.port, down_after=_DOWN_AFTER)
    )
    with (folder / "sentinel.log").open("wb") as log:
        process = subprocess.Popen(
            [find_program("redis-server"), config, "--sentinel"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    try:
        eventually(lambda: "'online'" in str(_ask(master.port, "INFO", "replication")))
        eventually(lambda: str(replica.port) in str(_ask(port, "SENTINEL", "REPLICAS", "events")))
        yield port
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ask(port: int, *words: str) -> object:
    with redis_py.Redis(host=LOOPBACK, port=port, decode_responses=True) as client:
        try:
            return client.execute_command(*words)
        except redis_py.RedisError:
            return ""
