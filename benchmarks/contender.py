"""What is measured: a server that can be started on a core, and what is asked of it.

A workload asks for a `Want`; each contender says by what path it has it, so that fanstream's feeds,
the peers' handlers and the C program's own streams are measured by the same client.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """The server's core, and the one that the client and the upstream share."""

    server: int
    client: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that runs: where, and the process whose tree is measured."""

    port: int
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What a case asks for.

    Args:
        kind: `delays`, `none`, `flat`, `watch` or `first`.
        lines: How many lines the upstream says.
        rate: How many a second; 0: as fast as they are read.
        gate: A name that no other measurement has.
        upstream_port: Where the upstream listens.
    """

    kind: str
    lines: int = 0
    rate: float = 0.0
    gate: str = ""
    upstream_port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """How a contender has it.

    Args:
        path: What the viewers get.
        options: More of the client's options: what starts a broadcast, whether a head comes.
    """

    path: str
    options: tuple[str, ...] = ()


Serve = Callable[[int, Cores], AbstractContextManager[Running]]
"""Starts a server, given the upstream's port and the cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One server under one name.

    Args:
        name: In the tables, and for `--contenders`.
        workloads: Those it takes part in; `<workload>/<case>` for a single case.
        packages: Those whose versions belong to its figures.
        serve: Starts it.
        target: Says how it has what a case wants.
        max_streams: Streams that it can be asked for at most; None: any number.
    """

    name: str
    workloads: frozenset[str]
    packages: tuple[str, ...] = ()
    serve: Serve
    target: Callable[[Want], Target]
    max_streams: int | None = None
