"""What viewers that never read cost those that do, and the server.

    python -m benchmarks.deaf

Both applications on their default servers, looked into by the tests' applications. A hundred
viewers share a run of 400 events of 20 KB, fifty a second; in the second half of each round fifty
of them are deaf. Every event carries the time at which its upstream wrote it, on the clock that the
readers, one thread of this process, look at as well.

The delays are those of all events to all fifty readers, in ms; each ratio is of two runs that
followed each other on one server, and the one printed is the median of three rounds. Memory is what
the server had grown by at most while the deaf were there.

Takes about two minutes. The status is 1 where a bound was missed; the table has them.
"""

import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.versions import versions
from tests.crowd import crowd
from tests.inspecting import Inspected, inspecting
from tests.test_deaf_viewers import sampling
from tests.upstreams import UpstreamsThread
from tests.viewing import eventually

APPS = {"quart": ("quart", "uvicorn"), "flask": ("flask", "gunicorn")}
PACKAGES = ("fanstream", "quart", "uvicorn", "flask", "gunicorn", "httptools", "uvloop")
ROUNDS = 3
READERS = DEAF = 50

CONFIG = """
[server]
send_timeout = 2.0

[feeds.wide]
share = true
keep = 1.0
[feeds.wide.params.key]
[feeds.wide.upstreams.a]
url = "${UPSTREAMS}/ndjson/{key}?lines=400&delay=0.02&pad=20000"
read = "ndjson"
"""

MAX_RATIO = 2.0
MAX_MIB = 64.0
HEADS = (
    *("p50 alone, ms", "p99 alone, ms", "p50 beside, ms", "p99 beside, ms"),
    *(f"ratio of p50 (≤ {MAX_RATIO:g})", "ratio of p99", f"memory, MiB (≤ {MAX_MIB:g})"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """The delays of one round in seconds, sorted, and by how many MiB the server grew."""

    alone: list[float]
    beside: list[float]
    grown: float

    def figures(self) -> list[float]:
        at = [
            1000 * delays[int(len(delays) * part)]
            for delays in (self.alone, self.beside)
            for part in (0.5, 0.99)
        ]
        return [*at, at[2] / at[0], at[3] / at[1], self.grown]


def measure(served: Inspected, name: str, *, bytes_before: int) -> Round:
    with crowd(served.port, f"/feeds/wide?key={name}a", readers=READERS, deaf=0) as alone:
        alone.read()
    eventually(lambda: not served.look()["runs"])
    with (
        crowd(served.port, f"/feeds/wide?key={name}b", readers=READERS, deaf=DEAF) as beside,
        sampling(served) as memory,
    ):
        beside.read()
        eventually(lambda: not served.look()["viewers"])
    grown = (max(memory) - bytes_before) / 2**20
    return Round(alone=alone.delays, beside=beside.delays, grown=grown)


def table(figures: dict[str, list[float]]) -> str:
    lines = ["| application | " + " | ".join(HEADS) + " |", "|---" + "|---:" * len(HEADS) + "|"]
    for app, row in figures.items():
        cells = " | ".join(f"{figure:.2f}" for figure in row)
        lines.append(f"| {', '.join(APPS[app])} | {cells} |")
    return "\n".join(lines)


def missed(figures: dict[str, list[float]]) -> list[str]:
    bounds = {4: MAX_RATIO, 6: MAX_MIB}
    return [
        f"{app}: {HEADS[n]} is {row[n]:.2f}"
        for app, row in figures.items()
        for n, bound in bounds.items()
        if row[n] > bound
    ]


def main() -> int:
    figures = {}
    with UpstreamsThread() as upstreams, tempfile.TemporaryDirectory() as folder:
        for app in APPS:
            env = {"UPSTREAMS": upstreams.base_url}
            with inspecting(app, CONFIG, folder=Path(folder), env=env) as served:
                begun = served.memory_bytes()
                rounds = [
                    measure(served, f"{app}{n}", bytes_before=begun).figures()
                    for n in range(ROUNDS)
                ]
            figures[app] = [statistics.median(column) for column in zip(*rounds, strict=True)]
    print(table(figures), versions(*PACKAGES), *missed(figures), sep="\n\n")
    return int(bool(missed(figures)))


if __name__ == "__main__":
    sys.exit(main())
