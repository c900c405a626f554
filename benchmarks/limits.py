"""What the client itself can take: the C upstream as one more contender, where it serves.

A server that comes near to these figures is limited by the client, or by the kernel's part of a
write and a read; none of the others should.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks.contender import Contender, Cores, Running, Target, Want
from benchmarks.programs import upstream


@contextmanager
def serve(upstream_port: int, cores: Cores) -> Iterator[Running]:
    del upstream_port
    with upstream(cores.server) as running:
        yield running


def target(want: Want, *, batch: int) -> Target:
    if want.kind == "none":
        return Target(path="/delay/0")
    lines = want.lines or 1
    return Target(path=f"/sse?lines={lines}&batch={batch}")


LIMITS = (
    Contender(
        name="c-send-per-event",
        workloads=frozenset({"limits"}),
        serve=serve,
        target=partial(target, batch=0),
    ),
    Contender(
        name="c-64-kib-writes",
        workloads=frozenset({"limits/one", "limits/hundred"}),
        serve=serve,
        target=partial(target, batch=1),
    ),
)
