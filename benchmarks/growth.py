"""What an event, a viewer, a run and an upstream cost fanstream as there are ten times as many.

Each series has a number that grows, and a cost of one item that should not: the CPU time of the
server for it. Where it stays the same the whole is linear; `exponent` says by which power of the
number the whole grows over the last tenfold, 1 being linear.
"""

import math
from dataclasses import replace
from pathlib import Path

from benchmarks import report, suite
from benchmarks.contender import Cores, Target
from benchmarks.growth_series import SERIES, Series
from benchmarks.measuring import Asked
from benchmarks.ours import OURS
from benchmarks.plot import Line, plot
from benchmarks.programs import upstream
from benchmarks.results import Results, Round

NAME = "growth"
MAX_EXPONENT = 1.2
"""Linear, but for noise and for caches that a thousand viewers or runs do not fit in: an item may
cost 1.6 times as much among ten times as many. What looked at all others would cost ten times."""


def run(*, rounds: int, cores: Cores) -> Results:
    results = suite.begin(NAME, contenders=(), cores=cores)
    with upstream(cores.client) as said:
        for n in range(rounds):
            for series in SERIES:
                for number in series.numbers:
                    round_ = _attempt(series, number, upstream_port=said.port, cores=cores)
                    results.add(series.name, str(number), round_)
                    cost = round_.get("failed") or f"{round_['cpu_us']:.2f} µs"
                    print(f"growth {n + 1}/{rounds} {series.name} {number}: {cost}", flush=True)
    return results


def _attempt(series: Series, number: int, *, upstream_port: int, cores: Cores) -> Round:
    return suite.attempt(lambda: _measure(series, number, upstream_port, cores))


def _measure(series: Series, number: int, upstream_port: int, cores: Cores) -> Round:
    ours = OURS[0]
    with ours.serve(upstream_port, cores) as running:
        asked = Asked(ours, running, upstream_port=upstream_port, cores=cores)
        path = series.prepare(number, asked, running)
        if path:
            at_path = replace(ours, target=lambda want: Target(path=path))
            asked = Asked(at_path, running, upstream_port=upstream_port, cores=cores)
        return asked.measure(series.case(number))


def costs(results: Results, series: Series) -> list[tuple[int, float]]:
    """The median cost of an item, in µs, by number; without what was not measured."""
    return [
        (number, results.median(series.name, str(number), "cpu_us"))
        for number in series.numbers
        if results.values(series.name, str(number), "cpu_us")
    ]


def exponent(points: list[tuple[int, float]]) -> float:
    (fewer, before), (more, after) = points[-2:]
    return 1 + math.log(after / before) / math.log(more / fewer)


def document(results: Results, folder: Path) -> str:
    """Return the table; write the plot beside it."""
    rows: list[tuple[str, ...]] = []
    lines = []
    for series in SERIES:
        points = costs(results, series)
        if len(points) < 2:
            rows.append((series.title, "not measured", "-", "-"))
            continue
        power = exponent(points)
        each = ", ".join(f"{cost:.1f} µs at {number:,}" for number, cost in points)
        verdict = "yes" if power <= MAX_EXPONENT else "**no**"
        rows.append((series.title, each, f"{power:.2f}", verdict))
        lines.append(Line(name=series.name, points=points))
    (folder / "growth.svg").write_text(plot(lines, x="number", y="µs of CPU for each item"))
    heads = ("what grows, and what the cost is of", "cost", "exponent", "no worse than linear")
    return report.page(results, report.table(heads, rows, texts=2), "![growth](growth.svg)")
