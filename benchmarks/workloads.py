"""The workloads: what is asked, how often at once, and which figures say how it went.

A case is one call of the C client. Its figures are the client's, a `p50` below `first_ms` being
`first_ms_p50`, and those that `measuring` adds: `cpu_us` of the server's processes for each item,
`server_cpu` and `client_core` in percent, and for idle streams `kib` for each of them.
"""

from dataclasses import dataclass, replace

from benchmarks.contender import Want


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A figure in a table, and how many decimals it is given with."""

    figure: str
    head: str
    digits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that is measured of each contender.

    Args:
        name: Among those of its workload.
        title: Above its table.
        command: The client's.
        options: The client's, beside those of the contender.
        connections: How many at once.
        seconds: How long at most.
        want: What is asked for.
        item: The figure that counts what the server's CPU time is divided by, and how many of them
            each stands for.
        columns: The table's, the first of which is what contenders are compared by.
    """

    name: str
    title: str
    command: str
    options: tuple[str, ...] = ()
    connections: int
    seconds: float
    want: Want
    item: tuple[str, int] = ("", 0)
    columns: tuple[Column, ...]


_CPU = Column(figure="server_cpu", head="server's CPU, %")


def _fanout(kind: str, connections: int) -> Case:
    delay = "10 to 100 ms" if kind == "delays" else "no delay"
    return Case(
        name=f"{kind}-{connections}",
        title=f"10 upstreams, {delay}, {connections} at once",
        command="fanout",
        options=("--markers", "10", "--marker", "event: result"),
        connections=connections,
        seconds=4.0,
        want=Want(kind=kind),
        item=("requests", 10),
        columns=(
            Column(figure="rate", head="requests/s", digits=1),
            Column(figure="cpu_us", head="CPU per upstream call, µs"),
            Column(figure="first_ms_p50", head="first p50, ms", digits=1),
            Column(figure="last_ms_p50", head="last p50, ms", digits=1),
            Column(figure="last_ms_p99", head="last p99, ms", digits=1),
            Column(figure="added_ms_p50", head="added p50, ms", digits=2),
            _CPU,
        ),
    )


def _flat(name: str, *, connections: int, lines: int, seconds: float, title: str) -> Case:
    return Case(
        name=name,
        title=title,
        command="flat",
        options=("--events", str(lines)),
        connections=connections,
        seconds=seconds,
        want=Want(kind="flat", lines=lines),
        item=("events", 1),
        columns=(
            Column(figure="rate", head="events/s"),
            Column(figure="cpu_us", head="CPU per event, µs", digits=2),
            Column(figure="first_ms_p50", head="first p50, ms", digits=1),
            Column(figure="complete", head="whole streams"),
            _CPU,
        ),
    )


def broadcast(name: str, *, lines: int, rate: float, seconds: float, viewers: int = 1000) -> Case:
    how = f"{lines:,} events at {rate:g}/s" if rate else f"{lines:,} events flat out"
    each = (
        Column(figure="rate", head="deliveries/s"),
        Column(figure="cpu_us", head="CPU per delivery, µs", digits=1),
    )
    return Case(
        name=name,
        title=f"{viewers:,} viewers, {how}, ≤ {seconds:g} s",
        command="broadcast",
        options=("--events", str(lines)),
        connections=viewers,
        seconds=seconds,
        want=Want(kind="watch", lines=lines, rate=rate),
        item=("deliveries", 1),
        columns=(
            *(reversed(each) if rate else each),
            Column(figure="latency_ms_p50", head="p50, ms", digits=1),
            Column(figure="latency_ms_p99", head="p99, ms", digits=1),
            Column(figure="delivered_percent", head="delivered, %", digits=1),
            _CPU,
        ),
    )


def _idle(streams: int) -> Case:
    return Case(
        name=str(streams),
        title=f"{streams:,} idle streams",
        command="idle",
        connections=streams,
        seconds=20.0,
        want=Want(kind="first"),
        columns=(
            Column(figure="kib", head="KiB each", digits=1),
            _CPU,
            Column(figure="open", head="open"),
            Column(figure="dropped", head="dropped"),
        ),
    )


CHURN = Case(
    name="churn",
    title="connect, first event, leave: 32 at once",
    command="churn",
    options=("--mark", "data:"),
    connections=32,
    seconds=4.0,
    want=Want(kind="first"),
    item=("visits", 1),
    columns=(
        Column(figure="rate", head="visits/s"),
        Column(figure="cpu_us", head="CPU per visit, µs"),
        Column(figure="first_ms_p50", head="first p50, ms", digits=1),
        Column(figure="first_ms_p99", head="first p99, ms", digits=1),
        _CPU,
    ),
)

_ONE = _flat(
    "one", connections=1, lines=200_000, seconds=4.0, title="one stream of 200,000 events, ≤ 4 s"
)
_HUNDRED = _flat(
    "hundred", connections=100, lines=2_000, seconds=10.0, title="100 streams of 2,000 events"
)

_DELAY = replace(
    _fanout("none", 8),
    name="delay",
    title="8 at once, one answer each, no delay",
    options=("--markers", "1", "--marker", '"monotonic":'),
    item=("requests", 1),
    columns=(
        Column(figure="rate", head="requests/s"),
        Column(figure="cpu_us", head="CPU per request, µs", digits=1),
        Column(figure="first_ms_p50", head="p50, ms", digits=2),
        _CPU,
    ),
)

_PACED = broadcast("paced", lines=80, rate=20, seconds=12.0)

WORKLOADS: dict[str, tuple[Case, ...]] = {
    "fanout": (_fanout("delays", 1), _fanout("delays", 50), _fanout("none", 1), _fanout("none", 8)),
    "flat": (_ONE, _HUNDRED),
    "broadcast": (
        broadcast("flat", lines=2_000, rate=0, seconds=12.0),
        _PACED,
    ),
    "idle": (_idle(5_000), _idle(10_000)),
    "churn": (CHURN,),
    "bridge": (_ONE, _HUNDRED),
    "servers": (_fanout("delays", 50), _HUNDRED, _PACED, CHURN),
    "limits": (_ONE, _HUNDRED, _DELAY, replace(CHURN, options=("--mark", '"t":'))),
}
"""The workloads that are rounds of cases; `growth` and `limits` are their own."""

SINGLE = frozenset({"idle", "servers"})
"""Those that take one round unless told otherwise."""
