"""One measurement with the log in Redis: the servers on one core, on the other all the rest.

The process `owner` executes all runs, which are started there by a POST each; where the place says
so, the viewers are at a second process on the same core. Both have the same configuration.
"""

import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.contender import Cores, Running
from benchmarks.measuring import CONNECT_TIMEOUT, Figures, flattened
from benchmarks.processes import busy_seconds, cpu_seconds, tree
from benchmarks.programs import ClientError, run_client
from benchmarks.redis_cases import Place, RedisCase
from benchmarks.redis_server import Counters, RedisServer, redis_server
from benchmarks.results import Round
from tests.serving import FANSTREAM, free_port, serving_command

CONFIG = """
[server]
max_streams = 2000
max_lag_events = 1000000
max_lag_bytes = 1073741824
drain_timeout = 1.0

[log]
url = "{url}"
{bounds}

[feeds.cast]
share = "all"
linger = 120.0
timeout = 600.0
params.key.type = "integer"
params.lines.type = "integer"
params.gate.type = "string"
[feeds.cast.upstreams.a]
url = "{upstreams}/ndjson?lines={{lines}}&gate={{gate}}"
read = "ndjson"
idle_timeout = 600.0

[feeds.paced]
share = "all"
linger = 120.0
timeout = 600.0
params.key.type = "integer"
params.lines.type = "integer"
params.rate.type = "integer"
params.gate.type = "string"
[feeds.paced.upstreams.a]
url = "{upstreams}/ndjson?lines={{lines}}&rate={{rate}}&gate={{gate}}"
read = "ndjson"
idle_timeout = 600.0

[feeds.warm]
share = "all"
keep = 1.0
params.key.type = "integer"
[feeds.warm.upstreams.a]
url = "{upstreams}/ndjson?lines=2000"
read = "ndjson"
"""

WIDE = "max_events = 1000000\nmax_log_bytes = 1073741824\nmax_bytes = 1073741824"

POLL_INTERVAL = 0.02
STARTED_AT_ONCE = 16
SETTLE = 0.5
"""Seconds between all being there and the opening of the gate."""

_GATES = (f"r{os.getpid()}n{n}" for n in itertools.count())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """All that runs in a measurement; without a Redis and another process where there is none."""

    owner: Running
    other: Running | None
    redis: RedisServer | None
    upstream_port: int
    cores: Cores

    @property
    def viewed(self) -> Running:
        return self.other or self.owner


@contextmanager
def staged(case: RedisCase, place: Place, *, upstream_port: int, cores: Cores) -> Iterator[Stage]:
    with ExitStack() as stack:
        redis = None
        if place.persistence:
            redis = stack.enter_context(redis_server(place.persistence, core=cores.client))
        config = CONFIG.format(
            url=redis.url if redis else "memory:",
            bounds="" if case.trims else WIDE,
            upstreams=f"http://127.0.0.1:{upstream_port}",
        )
        owner = stack.enter_context(_serving(config, core=cores.server))
        other = None
        if place.is_other:
            other = stack.enter_context(_serving(config, core=cores.server))
        yield Stage(owner=owner, other=other, redis=redis, upstream_port=upstream_port, cores=cores)


@contextmanager
def _serving(config: str, *, core: int) -> Iterator[Running]:
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "feeds.toml")
        file.write_text(config)
        with serving_command(
            *("-c", str(core), sys.executable, FANSTREAM, "serve", "--app", "quart"),
            *("--port", str(port), "--config", str(file)),
            port=port,
            folder=Path(name),
            env={"FANSTREAM_LOG_LEVEL": "WARNING"},
            python="taskset",
        ) as served:
            yield Running(port=port, pid=served.process.pid)


# ------------------------------------------------------------------- what is spent


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spent:
    """What has been spent until a moment, in seconds but for Redis's counters."""

    at: float
    owner: float
    other: float
    redis: float
    server_core: float
    client_core: float
    counters: Counters | None


class Expenses:
    """What is spent between two moments, by whom."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def begin(self) -> None:
        self._began = self._now()

    def end(self) -> None:
        self._ended = self._now()

    def figures(self, *, deliveries: float) -> Figures:
        began, ended = self._began, self._ended
        seconds = ended.at - began.at
        owner, other, redis = (
            1e6 * (getattr(ended, who) - getattr(began, who)) for who in ("owner", "other", "redis")
        )
        server_core = 100 * (ended.server_core - began.server_core) / seconds
        cpu = 100 * (owner + other) / 1e6 / seconds
        found = {
            "server_cpu": cpu,
            "client_core": 100 * (ended.client_core - began.client_core) / seconds,
            "strangers": server_core - cpu,
        }
        before, after = began.counters, ended.counters
        if before is None or after is None:
            return found | {"owner_cpu_us": owner / deliveries}
        events = max(1, after.appended - before.appended)
        found |= {
            "appended": float(events),
            "owner_cpu_us": owner / events,
            "redis_cpu_us": redis / events,
            "together": events / max(1, after.scripts - before.scripts),
            "received_bytes": (after.received - before.received) / events,
            "sent_bytes": (after.sent - before.sent) / events,
        }
        return found | ({"viewing_cpu_us": other / events} if self._stage.other else {})

    def _now(self) -> _Spent:
        stage = self._stage
        return _Spent(
            at=time.monotonic(),
            owner=cpu_seconds(tree(stage.owner.pid)),
            other=cpu_seconds(tree(stage.other.pid)) if stage.other else 0.0,
            redis=cpu_seconds([stage.redis.pid]) if stage.redis else 0.0,
            server_core=busy_seconds(stage.cores.server),
            client_core=busy_seconds(stage.cores.client),
            counters=stage.redis.counters() if stage.redis else None,
        )


# ------------------------------------------------------------------- the measuring


def measure(case: RedisCase, place: Place, *, upstream_port: int, cores: Cores) -> Round:
    """Start all that there has to be, measure the case, end it."""
    with staged(case, place, upstream_port=upstream_port, cores=cores) as stage:
        _warm_up(stage)
        gate = next(_GATES)
        runs = _start(case, stage, gate=gate)
        time.sleep(SETTLE)
        before = stage.redis.run_bytes(runs) if stage.redis else 0.0
        figures = _deliver(case, stage, gate) if case.viewers else _append(case, stage, gate)
        if stage.redis:
            grown = stage.redis.run_bytes(runs) - before
            figures |= {"run_bytes": before, "event_bytes": grown * case.runs / figures["appended"]}
        return figures


def _warm_up(stage: Stage) -> None:
    for key, running in itertools.product(range(3), filter(None, (stage.owner, stage.other))):
        url = f"http://127.0.0.1:{running.port}/feeds/warm?key={key}"
        httpx.get(url, timeout=30.0, trust_env=False)


def _params(case: RedisCase, gate: str) -> dict[str, Any]:
    return {"lines": case.lines, "gate": gate} | ({"rate": case.rate} if case.rate else {})


def _feed(case: RedisCase) -> str:
    return "paced" if case.rate else "cast"


def _start(case: RedisCase, stage: Stage, *, gate: str) -> list[str]:
    """Start the runs at the owner, where they have no viewer yet; return their ids."""
    url = f"http://127.0.0.1:{stage.owner.port}/feeds/{_feed(case)}"
    accept = {"Accept": "application/json"}
    with (
        httpx.Client(timeout=30.0, trust_env=False, headers=accept) as client,
        ThreadPoolExecutor(STARTED_AT_ONCE) as pool,
    ):
        bodies = [{"key": key, **_params(case, gate)} for key in range(case.runs)]
        answers = list(pool.map(lambda body: client.post(url, json=body), bodies))
    statuses = {answer.status_code for answer in answers}
    if statuses != {201}:
        raise ClientError(f"starting runs was answered with {sorted(statuses)}")
    return [answer.json()["run"] for answer in answers]


def _connections(stage: Stage) -> Figures:
    """Count the connections of a process, all, and those that read events of runs."""
    if stage.redis is None:
        return {}
    found = stage.redis.connections()
    processes = 2 if stage.other else 1
    return {
        "connections": found.total() / processes,
        "reading": found["fanstream-reads"] / processes,
    }


def _append(case: RedisCase, stage: Stage, gate: str) -> Round:
    """Open the gate, and see how soon all is appended."""
    assert stage.redis
    spent = Expenses(stage)
    connections = _connections(stage)
    spent.begin()
    before = stage.redis.appended()
    began = time.monotonic()
    opening = f"http://127.0.0.1:{stage.upstream_port}/open/{gate}"
    opened = httpx.get(opening, timeout=30.0, trust_env=False).text
    if opened != f"opened {case.runs}\n":
        raise ClientError(f"{case.runs} runs, and the upstream {opened}")
    # Each run ends with a `result` and `done`.
    wanted = before + case.runs * (case.lines + 2)
    while stage.redis.appended() < wanted:
        if time.monotonic() - began > case.seconds:
            raise ClientError(f"not all is appended in {case.seconds:g} s")
        time.sleep(POLL_INTERVAL)
    seconds = time.monotonic() - began
    spent.end()
    return {
        "rate": (wanted - before) / seconds,
        **connections,
        **spent.figures(deliveries=1),
    }


def _deliver(case: RedisCase, stage: Stage, gate: str) -> Round:
    """Have the client view all runs, open the gate, and take in what comes."""
    spent = Expenses(stage)
    connections: Figures = {}

    def begin() -> None:
        connections.update(_connections(stage))
        time.sleep(SETTLE)
        spent.begin()

    query = "&".join(f"{name}={value}" for name, value in _params(case, gate).items())
    said = run_client(
        *("broadcast", "--port", str(stage.viewed.port), "--events", str(case.lines)),
        *("--path", f"/feeds/{_feed(case)}?key={{}}&{query}", "--paths", str(case.runs)),
        *("--connections", str(case.viewers), "--seconds", f"{case.seconds:g}"),
        *("--trigger", f"/open/{gate}", "--trigger-port", str(stage.upstream_port)),
        core=stage.cores.client,
        timeout=case.seconds + CONNECT_TIMEOUT,
        begin=begin,
        end=spent.end,
    )
    figures = flattened(said)
    if not figures.get("deliveries"):
        raise ClientError(f"nothing delivered: {'; '.join(said.get('messages', ())) or 'in time'}")
    figures |= spent.figures(deliveries=figures["deliveries"]) | connections
    figures["delivered_percent"] = 100 * figures["delivered"]
    figures["appended_rate"] = figures["rate"] * case.runs / case.viewers
    messages = {"messages": said["messages"]} if "messages" in said else {}
    return figures | messages
