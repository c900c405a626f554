"""fanstream among the contenders: `fanstream serve` on its default servers.

The configuration is written for each start. The bound of streams is raised, and those of drain and
timeouts are other than the defaults; the log and what a viewer may be behind stand at theirs.
A broadcast is a shared run whose upstream waits at a gate until all viewers are there.
"""

import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.contender import Contender, Cores, Running, Target, Want
from streaming.servers import SERVERS
from tests.serving import FANSTREAM, free_port, serving_command

QUART = "fanstream-quart"
FLASK = "fanstream-flask"

DESCRIPTORS_BESIDE = 200

# No line for each run, as no peer writes one for each request.
QUIET = {"FANSTREAM_LOG_LEVEL": "WARNING"}

CONFIG = """
[server]
max_streams = 12000
drain_timeout = 1.0

[feeds.flat]
timeout = 600.0
[feeds.flat.params.lines]
type = "integer"
[feeds.flat.upstreams.a]
url = "${UPSTREAMS}/ndjson?lines={lines}"
read = "ndjson"

[feeds.cast]
share = "all"
timeout = 600.0
params.lines.type = "integer"
params.gate.type = "string"
[feeds.cast.upstreams.a]
url = "${UPSTREAMS}/ndjson?lines={lines}&gate={gate}"
read = "ndjson"
idle_timeout = 600.0

[feeds.paced]
share = "all"
timeout = 600.0
params.lines.type = "integer"
params.rate.type = "integer"
params.gate.type = "string"
[feeds.paced.upstreams.a]
url = "${UPSTREAMS}/ndjson?lines={lines}&rate={rate}&gate={gate}"
read = "ndjson"
idle_timeout = 600.0

[feeds.brief]
keep = 0.0
upstreams.a.url = "${UPSTREAMS}/delay/0"

[feeds.idle]
share = "all"
timeout = 3600.0
[feeds.idle.upstreams.a]
url = "${UPSTREAMS}/ndjson?lines=0&gate=idle"
read = "ndjson"
idle_timeout = 3600.0
"""


def config() -> str:
    """All feeds, with those of ten and, for the growth, of other numbers of upstreams."""
    urls = {f"delays.upstreams.u{ms}": f"/delay/{ms}" for ms in range(10, 101, 10)}
    urls |= {f"none.upstreams.u{n}": "/delay/0" for n in range(1, 11)}
    for number in (1, 10, 100):
        urls |= {f"none{number}.upstreams.u{n}": "/delay/0" for n in range(number)}
    lines = [f'[feeds.{key}]\nurl = "${{UPSTREAMS}}{path}"' for key, path in urls.items()]
    return CONFIG + "\n".join(lines) + "\n"


@contextmanager
def serve(
    upstream_port: int, cores: Cores, *, app: str, options: tuple[str, ...] = ()
) -> Iterator[Running]:
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "feeds.toml")
        file.write_text(config())
        command = (FANSTREAM, "serve", "--app", app, "--port", str(port), "--config", str(file))
        with serving_command(
            *("-c", str(cores.server), sys.executable, *command, *options),
            port=port,
            folder=Path(name),
            env={"UPSTREAMS": f"http://127.0.0.1:{upstream_port}", **QUIET},
            python="taskset",
        ) as served:
            yield Running(port=port, pid=served.process.pid)


def target(want: Want) -> Target:
    if want.kind == "flat":
        return Target(path=f"/feeds/flat?lines={want.lines}")
    if want.kind == "first":
        return Target(path="/feeds/idle")
    if want.kind != "watch":
        return Target(path=f"/feeds/{want.kind}")
    feed = f"paced?rate={want.rate:g}&" if want.rate else "cast?"
    trigger = ("--trigger", f"/open/{want.gate}", "--trigger-port", str(want.upstream_port))
    return Target(path=f"/feeds/{feed}lines={want.lines}&gate={want.gate}", options=trigger)


def max_streams(app: str) -> int:
    """How many streams of its default server the process's descriptors are enough for."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    per_stream = next(iter(SERVERS[app].values())).descriptors
    return (hard - DESCRIPTORS_BESIDE) // per_stream


def _contender(name: str, app: str, *workloads: str, server: str = "") -> Contender:
    options = ("--server", server) if server else ()
    return Contender(
        name=name,
        workloads=frozenset(workloads),
        serve=partial(serve, app=app, options=options),
        target=target,
        max_streams=max_streams(app),
    )


def _other_servers() -> Iterator[Contender]:
    """fanstream on the servers that are not its defaults."""
    for app, servers in SERVERS.items():
        for server in list(servers)[1:]:
            yield _contender(f"fanstream-{app}-{server}", app, "servers", server=server)


OURS = (
    _contender(QUART, "quart", "fanout", "flat", "broadcast", "idle", "churn", "servers"),
    _contender(
        FLASK, "flask", "fanout", "flat", "broadcast", "idle/5000", "churn", "bridge", "servers"
    ),
    *_other_servers(),
)
