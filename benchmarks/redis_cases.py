"""What is measured with the log in Redis: the cases, their columns, and where log and viewers are.

A case has so many live runs, each of an upstream of its own that waits at one gate until all is
there. All of them are one process's; the viewers are there, or at another process.
"""

from dataclasses import dataclass

from benchmarks.workloads import Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the log is, and where the viewers are.

    Args:
        name: In the tables.
        persistence: Of the Redis, by `benchmarks.redis_server.PERSISTENCE`; empty: in memory.
        is_other: Whether the viewers are at a process that does not execute the runs.
    """

    name: str
    persistence: str = ""
    is_other: bool = False


MEMORY = "memory"
ALWAYS = "always"
NO_AOF = "no-aof"
ALWAYS_OTHER = "always, other process"
NO_AOF_OTHER = "no-aof, other process"

_APPENDING = (Place(name=ALWAYS, persistence="always"), Place(name=NO_AOF, persistence="no-aof"))
_DELIVERING = (
    Place(name=ALWAYS_OTHER, persistence="always", is_other=True),
    Place(name=NO_AOF_OTHER, persistence="no-aof", is_other=True),
)
_ALL = (Place(name=MEMORY), *_APPENDING, *_DELIVERING)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisCase:
    """One thing that is measured at each of its places.

    Args:
        name: Among the cases.
        title: Above its table.
        runs: How many are live at once.
        viewers: How many there are of all runs; 0: what is appended is measured, not delivered.
        lines: How many an upstream says.
        rate: How many a second; 0: as fast as they are read.
        seconds: How long at most.
        trims: Whether logs have the bounds that they have by default, and not ones that no run
            comes to.
        places: Where it is measured, one after the other in each round.
        columns: The table's.
    """

    name: str
    title: str
    runs: int
    viewers: int = 0
    lines: int
    rate: int = 0
    seconds: float
    trims: bool = False
    places: tuple[Place, ...]
    columns: tuple[Column, ...]


_EXPENSES = (
    Column(figure="redis_cpu_us", head="CPU in Redis, µs", digits=2),
    Column(figure="together", head="events together", digits=1),
    Column(figure="event_bytes", head="memory in Redis, bytes an event"),
    Column(figure="run_bytes", head="and a run"),
    Column(figure="received_bytes", head="to Redis, bytes an event"),
    Column(figure="sent_bytes", head="from Redis"),
)
_CONNECTIONS = (
    Column(figure="connections", head="connections of a process"),
    Column(figure="reading", head="that read events"),
)
_CORES = (
    Column(figure="server_cpu", head="servers' CPU, %"),
    Column(figure="client_core", head="the other core, %"),
)


def _append(name: str, title: str, *, runs: int, lines: int, trims: bool = False) -> RedisCase:
    return RedisCase(
        name=name,
        title=title,
        runs=runs,
        lines=lines,
        seconds=30.0,
        trims=trims,
        places=_APPENDING,
        columns=(
            Column(figure="rate", head="appended/s"),
            Column(figure="owner_cpu_us", head="CPU per event, µs", digits=2),
            *_EXPENSES,
            *_CONNECTIONS,
            *_CORES,
        ),
    )


def _deliver(*, runs: int, viewers: int, lines: int) -> RedisCase:
    each = f"{viewers // runs:,} viewer{'s' if viewers > runs else ''} each"
    return RedisCase(
        name=f"deliver-{runs}-{viewers}",
        title=f"Delivered by another process: runs {runs:,}, of {lines:,} events, {each}",
        runs=runs,
        viewers=viewers,
        lines=lines,
        seconds=30.0,
        places=_DELIVERING,
        columns=(
            Column(figure="rate", head="deliveries/s"),
            Column(figure="appended_rate", head="appended/s"),
            Column(figure="delivered_percent", head="delivered, %", digits=1),
            Column(figure="owner_cpu_us", head="CPU of the owner, µs per event", digits=2),
            Column(figure="viewing_cpu_us", head="of the other, µs per event read", digits=2),
            *_EXPENSES,
            *_CONNECTIONS,
            *_CORES,
        ),
    )


def _latency(*, runs: int, rate: int, seconds: int) -> RedisCase:
    return RedisCase(
        name=f"latency-{runs}",
        title=f"From upstream to viewer: runs {runs:,}, with one viewer and {rate} events/s each",
        runs=runs,
        viewers=runs,
        lines=rate * seconds,
        rate=rate,
        seconds=seconds + 10.0,
        places=_ALL,
        columns=(
            Column(figure="latency_ms_p99", head="p99, ms", digits=2),
            Column(figure="latency_ms_p50", head="p50, ms", digits=2),
            Column(figure="delivered_percent", head="delivered, %", digits=1),
            Column(figure="owner_cpu_us", head="CPU of the owner, µs per event"),
            Column(figure="viewing_cpu_us", head="of the other"),
            *_EXPENSES,
            *_CONNECTIONS,
            *_CORES,
        ),
    )


CASES = (
    _append("append-1", "Appended: 1 run of 200,000 events", runs=1, lines=200_000),
    _append("append-100", "Appended: 100 runs of 2,000 events", runs=100, lines=2_000),
    _append("append-1000", "Appended: 1,000 runs of 200 events", runs=1_000, lines=200),
    _append(
        "append-trimming",
        "Appended: 1 run of 200,000 events, of which the log keeps 10,000",
        runs=1,
        lines=200_000,
        trims=True,
    ),
    _deliver(runs=1, viewers=1, lines=200_000),
    _deliver(runs=1, viewers=100, lines=5_000),
    _deliver(runs=100, viewers=100, lines=2_000),
    _deliver(runs=1_000, viewers=1_000, lines=200),
    _latency(runs=1, rate=20, seconds=6),
    _latency(runs=100, rate=20, seconds=6),
    _latency(runs=1_000, rate=2, seconds=6),
)
