"""What fanstream has to reach, as ratios within one run.

Each is a function of medians; a row whose figures were not all measured says so.
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.ours import FLASK, QUART
from benchmarks.redis_cases import ALWAYS, ALWAYS_OTHER, MEMORY, NO_AOF, NO_AOF_OTHER
from benchmarks.results import Lookup

# Names of `benchmarks.peers.table`.
STARLETTE_AIOHTTP = "starlette-aiohttp"
QUARTS_HTTPX = ("quart-httpx", "quart-httpx-uvicorn")
FLASK_HTTPX = "flask-asyncio-httpx"
FLASK_AIOHTTP = "flask-asyncio-aiohttp"
SSE_STARLETTE = "sse-starlette"
BETTER_SSE = "better-sse"
AIOHTTP_SSE = "aiohttp-sse"
NCHAN = "nchan"
BARE_QUART = "bare-quart"
FLASK_RECIPE = "flask-recipe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One of them.

    Args:
        workload: Where it is measured.
        name: What it is of, and against whom.
        bound: What it has to be.
        is_most: Whether it may be at most that, not at least.
        unit: Behind the figure; `x` for a ratio.
        of: Makes it of the figures.
    """

    workload: str
    name: str
    bound: float
    is_most: bool = False
    unit: str = "x"
    of: Callable[[Lookup], float]

    def is_reached(self, figure: float) -> bool:
        return figure <= self.bound if self.is_most else figure >= self.bound


def _ratio(case: str, figure: str, ours: str, theirs: str) -> Callable[[Lookup], float]:
    def of(look: Lookup) -> float:
        other = look(case, theirs, figure)
        return look(case, ours, figure) / other if other else float("inf")

    return of


def _difference(case: str, figure: str, ours: str, theirs: str) -> Callable[[Lookup], float]:
    return lambda look: look(case, ours, figure) - look(case, theirs, figure)


def _itself(case: str, figure: str, ours: str) -> Callable[[Lookup], float]:
    return lambda look: look(case, ours, figure)


TARGETS = (
    *(
        Target(
            workload="fanout",
            name=f"50 at once: requests/s against {peer}",
            bound=15,
            of=_ratio("delays-50", "rate", QUART, peer),
        )
        for peer in QUARTS_HTTPX
    ),
    Target(
        workload="fanout",
        name=f"50 at once: requests/s against {STARLETTE_AIOHTTP}",
        bound=1.0,
        of=_ratio("delays-50", "rate", QUART, STARLETTE_AIOHTTP),
    ),
    *(
        Target(
            workload="fanout",
            name=f"50 at once: {which} result, p50, beyond that of {STARLETTE_AIOHTTP}",
            bound=10,
            is_most=True,
            unit="ms",
            of=_difference("delays-50", f"{which}_ms_p50", QUART, STARLETTE_AIOHTTP),
        )
        for which in ("first", "last")
    ),
    *(
        Target(
            workload="fanout",
            name=f"Flask (gthread), 8 at once: requests/s against {peer}",
            bound=bound,
            of=_ratio("none-8", "rate", FLASK, peer),
        )
        for peer, bound in ((FLASK_HTTPX, 10), (FLASK_AIOHTTP, 1.5))
    ),
    Target(
        workload="fanout",
        name=f"CPU per upstream call, 8 at once, against {STARLETTE_AIOHTTP}",
        bound=1.1,
        is_most=True,
        of=_ratio("none-8", "cpu_us", QUART, STARLETTE_AIOHTTP),
    ),
    Target(
        workload="fanout",
        name="one request: added delay of the first result, p50",
        bound=2,
        is_most=True,
        unit="ms",
        of=_itself("delays-1", "added_ms_p50", QUART),
    ),
    *(
        Target(
            workload="flat",
            name=f"{title}: events/s against {peer}",
            bound=bound,
            of=_ratio(case, "rate", QUART, peer),
        )
        for case, title in (("one", "one stream"), ("hundred", "100 streams"))
        for peer, bound in ((SSE_STARLETTE, 5), (BETTER_SSE, 1))
    ),
    *(
        Target(
            workload="broadcast",
            name=f"flat out: deliveries/s against {peer}",
            bound=bound,
            of=_ratio("flat", "rate", QUART, peer),
        )
        for peer, bound in ((SSE_STARLETTE, 5), (NCHAN, 1.5))
    ),
    Target(
        workload="broadcast",
        name=f"20 events/s: CPU per delivery against {SSE_STARLETTE}",
        bound=0.55,
        is_most=True,
        of=_ratio("paced", "cpu_us", QUART, SSE_STARLETTE),
    ),
    Target(
        workload="broadcast",
        name=f"20 events/s: latency p99 against {SSE_STARLETTE}",
        bound=1.0,
        is_most=True,
        of=_ratio("paced", "latency_ms_p99", QUART, SSE_STARLETTE),
    ),
    Target(
        workload="idle",
        name=f"10,000 streams: memory of each against {BARE_QUART}",
        bound=1.05,
        is_most=True,
        of=_ratio("10000", "kib", QUART, BARE_QUART),
    ),
    Target(
        workload="idle",
        name="5,000 streams: memory of each, Flask (gthread)",
        bound=60,
        is_most=True,
        unit="KiB",
        of=_itself("5000", "kib", FLASK),
    ),
    Target(
        workload="churn",
        name=f"visits/s against {AIOHTTP_SSE}",
        bound=1,
        of=_ratio("churn", "rate", QUART, AIOHTTP_SSE),
    ),
    *(
        Target(
            workload="bridge",
            name=f"Flask, {title}: events/s against {FLASK_RECIPE}",
            bound=1,
            of=_ratio(case, "rate", FLASK, FLASK_RECIPE),
        )
        for case, title in (("one", "one stream"), ("hundred", "100 streams"))
    ),
    *(
        Target(
            workload="redis",
            name=f"{runs:,} live: events appended by one process, {place}",
            bound=50_000,
            unit="/s",
            of=_itself(f"append-{runs}", "rate", place),
        )
        for place in (ALWAYS, NO_AOF)
        for runs in (1, 100, 1_000)
    ),
    *(
        Target(
            workload="redis",
            name=f"{runs:,} live: latency p99 beyond that in memory, {place}",
            bound=5,
            is_most=True,
            unit="ms",
            of=_difference(f"latency-{runs}", "latency_ms_p99", place, MEMORY),
        )
        for place in (ALWAYS, ALWAYS_OTHER, NO_AOF, NO_AOF_OTHER)
        for runs in (1, 100, 1_000)
    ),
    *(
        Target(
            workload="redis",
            name=f"{runs:,} live: connections that read events, of a process",
            bound=1,
            is_most=True,
            unit="",
            of=_itself(f"latency-{runs}", "reading", ALWAYS_OTHER),
        )
        for runs in (1, 100, 1_000)
    ),
)
