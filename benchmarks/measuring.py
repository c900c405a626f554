"""One measurement: a contender's server on its core, the upstream and the client on the other.

CPU time is that of the server's whole process tree in the client's window; memory is what the tree
has grown by while the streams are open.
"""

import itertools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.contender import Contender, Cores, Running
from benchmarks.processes import busy_seconds, cpu_seconds, pss_kib, tree
from benchmarks.programs import ClientError, run_client
from benchmarks.results import Round
from benchmarks.workloads import Case

CONNECT_TIMEOUT = 120.0
"""Seconds that the client may take beyond those of its window."""

WARM_UP = {"idle": 1.0, "churn": 0.5, "flat": 1.0}
"""Seconds of a first go that is not counted, by the client's command; `fanout` has its own."""

_GATES = (f"g{os.getpid()}n{n}" for n in itertools.count())

Figures = dict[str, float]
Hook = Callable[[], None]


def _nothing() -> None:
    pass


def _call(*hooks: Hook) -> None:
    for hook in hooks:
        hook()


def measure(case: Case, contender: Contender, *, upstream_port: int, cores: Cores) -> Round:
    """Start the contender, ask it for the case, end it."""
    with contender.serve(upstream_port, cores) as running:
        asked = Asked(contender, running, upstream_port=upstream_port, cores=cores)
        return asked.measure(case)


class Asked:
    """A contender whose server runs, and can be asked for cases."""

    def __init__(
        self, contender: Contender, running: Running, *, upstream_port: int, cores: Cores
    ) -> None:
        self._contender = contender
        self._running = running
        self._upstream_port = upstream_port
        self._cores = cores

    def measure(self, case: Case, *, begin: Hook = _nothing, end: Hook = _nothing) -> Round:
        """Ask for a case, after a first go that is not counted.

        Args:
            case: What is asked for.
            begin: Called before what is measured begins.
            end: Called at its end.
        """
        if (most := self._contender.max_streams) is not None:
            case = replace(case, connections=min(case.connections, most))
        if seconds := WARM_UP.get(case.command):
            want = replace(case.want, lines=min(case.want.lines, 200))
            options = ("--events", "200") if case.command == "flat" else case.options
            few = replace(case, connections=1, seconds=seconds, options=options, want=want)
            self.ask(few)
        return self.ask(case, begin=begin, end=end)

    def ask(self, case: Case, *, begin: Hook = _nothing, end: Hook = _nothing) -> Round:
        window = Window(self._running.pid, cores=self._cores)
        memory = Memory(self._running.pid, seconds=case.seconds)
        is_memory = case.command == "idle"
        said = run_client(
            *self._arguments(case),
            core=self._cores.client,
            timeout=case.seconds + CONNECT_TIMEOUT,
            begin=lambda: _call(begin, window.begin, *([memory.begin] if is_memory else [])),
            end=lambda: _call(window.end, end),
        )
        figures = {**flattened(said), **window.figures()}
        if is_memory:
            figures["grown_kib"] = memory.grown_kib()
        counted = case.item[0] or "open"
        if not figures.get(counted):
            raise ClientError(f"no {counted}: {'; '.join(said.get('messages', ())) or 'in time'}")
        messages = {"messages": said["messages"]} if "messages" in said else {}
        return figures | derived(figures, case=case) | messages

    def _arguments(self, case: Case) -> tuple[str, ...]:
        want = replace(case.want, gate=next(_GATES), upstream_port=self._upstream_port)
        target = self._contender.target(want)
        return (
            case.command,
            *("--port", str(self._running.port), "--path", target.path),
            *("--connections", str(case.connections), "--seconds", f"{case.seconds:g}"),
            *(*case.options, *target.options),
        )


class Window:
    """What is spent between two moments: by the server, and on both cores."""

    def __init__(self, pid: int, *, cores: Cores) -> None:
        self._pid = pid
        self._cores = cores

    def begin(self) -> None:
        self._pids = tree(self._pid)
        self._began = self._now()

    def end(self) -> None:
        self._ended = self._now()
        if gone := set(self._pids) - set(tree(self._pid)):
            raise ClientError(f"processes of the server have ended meanwhile: {sorted(gone)}")

    def figures(self) -> Figures:
        pairs = zip(self._began, self._ended, strict=True)
        seconds, cpu, *cores = (after - before for before, after in pairs)
        server_core, client_core = (100 * core / seconds for core in cores)
        return {
            "server_seconds": cpu,
            "server_cpu": 100 * cpu / seconds,
            "client_core": client_core,
            "strangers": server_core - 100 * cpu / seconds,
        }

    def _now(self) -> tuple[float, ...]:
        cores = (busy_seconds(self._cores.server), busy_seconds(self._cores.client))
        return (time.monotonic(), cpu_seconds(tree(self._pid)), *cores)


class Memory:
    """By how much a process tree has grown shortly before the end of what is measured."""

    def __init__(self, pid: int, *, seconds: float) -> None:
        self._pid = pid
        self._before = self._after = pss_kib(tree(pid))
        self._timer = threading.Timer(max(0.0, seconds - 2.0), self._look)

    def begin(self) -> None:
        self._timer.start()

    def grown_kib(self) -> int:
        self._timer.join()
        return self._after - self._before

    def _look(self) -> None:
        self._after = pss_kib(tree(self._pid))


def flattened(said: dict[str, Any]) -> Figures:
    """Leave out what is no figure."""
    figures: Figures = {}
    for name, value in said.items():
        if isinstance(value, dict):
            figures |= {f"{name}_{part}": each for part, each in value.items()}
        elif isinstance(value, int | float):
            figures[name] = float(value)
    return figures


def derived(figures: Figures, *, case: Case) -> Figures:
    more: Figures = {}
    counted, times = case.item
    if items := figures.get(counted, 0.0) * times:
        more["cpu_us"] = figures["server_seconds"] * 1e6 / items
    if "delivered" in figures:
        more["delivered_percent"] = 100 * figures["delivered"]
    if "grown_kib" in figures and figures["open"]:
        more["kib"] = figures["grown_kib"] / figures["open"]
    return more
