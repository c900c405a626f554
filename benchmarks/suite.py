"""Rounds of a workload: each case of every contender in turn, A B A B, each on a server of its own.

A round starts every contender's server anew for each case, so that none finds what another case has
left behind, and the contenders of one case follow each other at once.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from benchmarks.contender import Contender, Cores
from benchmarks.machine import machine, versions
from benchmarks.measuring import measure
from benchmarks.peers.running import DidNotStartError
from benchmarks.programs import ClientError, upstream
from benchmarks.report import Case as Tabled
from benchmarks.results import Results, Round
from benchmarks.workloads import WORKLOADS, Case


class Named(Protocol):
    """What has a name in the tables."""

    @property
    def name(self) -> str: ...


def begin(workload: str, *, contenders: Sequence[Contender], cores: Cores) -> Results:
    return Results(
        workload=workload,
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=f"{machine()}; server on core {cores.server}, client on {cores.client}",
        versions=versions(name for contender in contenders for name in contender.packages),
    )


def run(workload: str, *, contenders: Sequence[Contender], rounds: int, cores: Cores) -> Results:
    """Measure a workload of `WORKLOADS`."""
    cases = WORKLOADS[workload]
    present = [each for each in contenders if any(takes_part(each, workload, c) for c in cases)]
    results = begin(workload, contenders=present, cores=cores)
    with upstream(cores.client) as said:
        for n, case in itertools.product(range(rounds), cases):
            for contender in present:
                if takes_part(contender, workload, case):
                    measured = partial(
                        measure, case, contender, upstream_port=said.port, cores=cores
                    )
                    results.add(case.name, contender.name, round_ := attempt(measured))
                    tell(f"{workload} {case.name} {n + 1}/{rounds}", case, contender, round_)
    return results


def takes_part(contender: Contender, workload: str, case: Case) -> bool:
    return bool({workload, f"{workload}/{case.name}"} & contender.workloads)


def attempt(measured: Callable[[], Round]) -> Round:
    """Measure; or say what failed, and let the others have their turn."""
    try:
        return measured()
    except (ClientError, DidNotStartError, RuntimeError, OSError, ValueError) as exc:
        return {"failed": " ".join(f"{type(exc).__name__}: {exc}".split())[-500:]}


def tell(where: str, case: Tabled, contender: Named, round_: Round) -> None:
    said = round_.get("failed") or ", ".join(
        f"{column.head} {round_[column.figure]:,.{column.digits}f}"
        for column in case.columns
        if column.figure in round_
    )
    print(f"{time.strftime('%H:%M:%S')} {where} {contender.name}: {said}", flush=True)
