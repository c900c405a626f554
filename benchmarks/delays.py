"""How long an answer is on its way, from an upstream's write to the viewer's read.

    python -m benchmarks.delays

Both applications on their default servers. The upstreams are the demo's, in a process of their own:
each answer carries the time at which it was written, on the clock that the viewer reads as well.

- *Ten*: upstreams that take 10, 20 ... 100 ms, one viewer at a time. The medians of five runs: the
  worst lag of its ten results, `done` after the last answer, and the time to the headers.
- *Fifty*: the same upstreams ten times slower, and fifty viewers at once, each with a run of its
  own: the slowest of them, by the time that one takes alone. The medians of three rounds.

Takes about half a minute. The status is 1 where a bound was missed; the table has them.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.versions import versions
from streaming.core.sse_decoder import SseDecoder
from tests.serving import serving
from tests.viewing import reading

APPS = {"quart": ("quart", "uvicorn"), "flask": ("flask", "gunicorn")}
PACKAGES = ("fanstream", "quart", "uvicorn", "flask", "gunicorn", "httptools", "uvloop")
RUNS = 5
ROUNDS = 3
VIEWERS = 50

FAST_MS = range(10, 101, 10)
SLOW_MS = range(100, 1001, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One figure of the table.

    Args:
        head: What it is, with its unit.
        bound: What it may be at most; None where it stands for itself.
    """

    head: str
    bound: float | None = None

    @property
    def title(self) -> str:
        return self.head if self.bound is None else f"{self.head} (≤ {self.bound:g})"


COLUMNS = (
    Column(head="worst lag of a result, ms", bound=10),
    Column(head="done after the last answer, ms", bound=15),
    Column(head="headers, ms", bound=10),
    Column(head="one alone, s"),
    Column(head=f"slowest of {VIEWERS}, s"),
    Column(head="ratio", bound=2),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What one viewer saw, in seconds.

    Args:
        headers: From the connection's beginning to the response's head.
        lags: Of each result, from its upstream's write to its arrival.
        done: From the last upstream's write to the arrival of `done`.
        whole: From the connection's beginning to `done`.
    """

    headers: float
    lags: list[float]
    done: float
    whole: float


# ------------------------------------------------------------------ what is served


def config() -> str:
    feeds = {"fast": FAST_MS, "slow": SLOW_MS}
    return "\n".join(
        f'feeds.{feed}.upstreams.u{ms}.url = "${{UPSTREAMS}}/delay/{ms}"'
        for feed, delays in feeds.items()
        for ms in delays
    )


@contextmanager
def demo_upstreams() -> Iterator[str]:
    command = [sys.executable, "-m", "streaming.demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


# ------------------------------------------------------------------- the measuring


def watch(port: int, feed: str) -> Watched:
    """Run a feed on a connection of its own, and time what arrives."""
    began = time.monotonic()
    with reading(port, f"/feeds/{feed}") as response:
        headers = time.monotonic() - began
        written, lags = [], []
        decoder = SseDecoder()
        while data := response.read1():
            now = time.monotonic()
            for event in decoder.decode(data):
                if event.event == "result":
                    written.append(json.loads(event.data)["body"]["monotonic"])
                    lags.append(now - written[-1])
                elif event.event == "done":
                    done = now - max(written)
                    return Watched(headers=headers, lags=lags, done=done, whole=now - began)
    raise RuntimeError("the stream ended without `done`")


def watch_whole(port: int, feed: str) -> Watched:
    watched = watch(port, feed)
    if len(watched.lags) != len(FAST_MS):
        raise RuntimeError(f"{len(watched.lags)} results, not {len(FAST_MS)}")
    return watched


def slowest_at_once(port: int) -> float:
    with ThreadPoolExecutor(VIEWERS) as pool:
        every = [pool.submit(watch_whole, port, "slow") for _ in range(VIEWERS)]
    return max(each.result().whole for each in every)


def measure(port: int) -> list[float]:
    """Return the figures of one application, in the order of `COLUMNS`."""
    watch_whole(port, "fast")  # the first opens the connections that the others use
    fast = [watch_whole(port, "fast") for _ in range(RUNS)]
    one = statistics.median(watch_whole(port, "slow").whole for _ in range(ROUNDS))
    slowest = statistics.median(slowest_at_once(port) for _ in range(ROUNDS))
    return [
        *(median_ms(fast, lambda watched: max(watched.lags)),),
        *(median_ms(fast, lambda watched: watched.done),),
        *(median_ms(fast, lambda watched: watched.headers),),
        *(one, slowest, slowest / one),
    ]


def median_ms(every: list[Watched], time_of: Callable[[Watched], float]) -> float:
    return statistics.median(map(time_of, every)) * 1000


# ---------------------------------------------------------------------- the table


def table(figures: dict[str, list[float]]) -> str:
    lines = [
        "| application | " + " | ".join(column.title for column in COLUMNS) + " |",
        "|---" + "|---:" * len(COLUMNS) + "|",
    ]
    for app, row in figures.items():
        cells = " | ".join(f"{figure:.2f}" for figure in row)
        lines.append(f"| {', '.join(APPS[app])} | {cells} |")
    return "\n".join(lines)


def missed(figures: dict[str, list[float]]) -> list[str]:
    return [
        f"{app}: {column.head} is {figure:.2f}, more than {column.bound:g}"
        for app, row in figures.items()
        for column, figure in zip(COLUMNS, row, strict=True)
        if column.bound is not None and figure > column.bound
    ]


def main() -> int:
    figures = {}
    with demo_upstreams() as url, tempfile.TemporaryDirectory() as folder:
        for app in APPS:
            env = {"UPSTREAMS": url}
            with serving(app, config(), folder=Path(folder), env=env) as served:
                figures[app] = measure(served.port)
    print(table(figures), versions(*PACKAGES), *missed(figures), sep="\n\n")
    return int(bool(missed(figures)))


if __name__ == "__main__":
    sys.exit(main())
