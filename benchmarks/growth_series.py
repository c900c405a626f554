"""What grows, and how the cost of an item is measured: the series of `growth`."""

import math
import re
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.contender import Running, Want
from benchmarks.measuring import Asked
from benchmarks.programs import ClientError
from benchmarks.workloads import Case, broadcast

Prepare = Callable[[int, Asked, Running], str]
"""Does what is not measured; returns the path to ask for, or nothing for that of the case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One number that grows.

    Args:
        name: In the results.
        title: What it is that grows, and what the cost is of.
        numbers: What it is, in turn.
        case: Makes the case of one of them.
        prepare: Called first, with the number.
    """

    name: str
    title: str
    numbers: tuple[int, ...]
    case: Callable[[int], Case]
    prepare: Prepare = lambda n, asked, running: ""


def _requests(kind: str, *, at_once: int, marks: int, event: str, items: int, most: int) -> Case:
    """Streams of so many events one after the other, so many times at most."""
    return Case(
        name="",
        title="",
        command="fanout",
        options=(
            *("--markers", str(marks), "--marker", f"event: {event}"),
            *("--requests", str(most)),
        ),
        connections=at_once,
        seconds=30.0,
        want=Want(kind=kind, lines=marks),
        item=("requests", items),
        columns=(),
    )


def _keep(number: int, asked: Asked, running: Running) -> str:
    """Leave so many finished runs behind, of ten events each."""
    for at_once in [min(1000, number)] * math.ceil(number / 1000):
        asked.ask(
            Case(
                name="",
                title="",
                command="flat",
                options=("--events", "10"),
                connections=at_once,
                seconds=30.0,
                want=Want(kind="flat", lines=10),
                columns=(),
            )
        )
    return "/feeds/brief"


def _replay(number: int, asked: Asked, running: Running) -> str:
    """Have a run of so many events; return where it is replayed."""
    url = f"http://127.0.0.1:{running.port}/feeds/flat?lines={number}"
    with urllib.request.urlopen(url, timeout=30) as response:
        said = response.read().decode()
    run = re.search(r"^id: ([0-9a-f]+)-", said, re.MULTILINE)
    if run is None:
        raise ClientError("no run to replay")
    return f"/runs/{run[1]}"


SERIES = (
    Series(
        name="viewers",
        title="viewers of one run of 2,000 events, flat out: for each event of each viewer",
        numbers=(10, 100, 1_000),
        case=lambda n: broadcast("", lines=2_000, rate=0, seconds=30.0, viewers=n),
    ),
    Series(
        name="viewers-paced",
        title="viewers of one run of 100 events a second: for each event of each viewer",
        numbers=(10, 100, 300),
        case=lambda n: broadcast("", lines=300, rate=100, seconds=30.0, viewers=n),
    ),
    Series(
        name="runs-live",
        title="runs at once, of 100 events each: for each run",
        numbers=(10, 100, 1_000),
        case=lambda n: _requests("flat", at_once=n, marks=100, event="chunk", items=1, most=5_000),
    ),
    Series(
        name="runs-kept",
        title="finished runs that are kept: for each further run, of one upstream",
        numbers=(10, 100, 1_000, 9_000),
        case=lambda n: _requests("none1", at_once=4, marks=1, event="result", items=1, most=3_000),
        prepare=_keep,
    ),
    Series(
        name="log",
        title="events in a log that is replayed: for each event",
        numbers=(100, 1_000, 9_000),
        case=lambda n: _requests(
            "flat",
            at_once=4,
            marks=n,
            event="chunk",
            items=n,
            most=max(20, min(3_000, 2_000_000 // n)),
        ),
        prepare=_replay,
    ),
    Series(
        name="upstreams",
        title="upstreams of a feed: for each call",
        numbers=(1, 10, 100),
        case=lambda n: _requests(
            f"none{n}", at_once=4, marks=n, event="result", items=n, most=max(200, 3_000 // n)
        ),
    ),
)
