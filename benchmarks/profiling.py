"""Where fanstream's server spends its time in a workload: py-spy's samples, as a short text.

    python -m benchmarks profile <workload>[/<case>] [--app flask]

Only what runs is sampled, 250 times a second, all threads and processes of the server, from the
client's `ready` to its end. `self` is where a sample was taken, `whole` what was on its stack.
py-spy is installed by name into .bench/tools.
"""

import os
import signal
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from pathlib import Path

from benchmarks.contender import Contender, Cores
from benchmarks.machine import machine
from benchmarks.measuring import Asked
from benchmarks.ours import OURS
from benchmarks.peers.install import BENCH
from benchmarks.programs import upstream
from benchmarks.workloads import WORKLOADS, Case

TOOLS = BENCH / "tools"
PROFILES = Path(__file__).with_name("profiles")
RATE = 250
ROWS = 40


def py_spy() -> Path:
    program = TOOLS / "bin/py-spy"
    if not program.exists():
        venv.create(TOOLS, with_pip=True)
        pip = [str(TOOLS / "bin/python"), "-m", "pip", "install", "--quiet", "py-spy"]
        subprocess.run(pip, check=True)
    return program


def main(names: list[str], *, app: str, cores: Cores) -> int:
    os.sched_setaffinity(0, _beside(cores))
    ours = next(each for each in OURS if each.name.endswith(app))
    for name in names:
        workload, _, chosen = name.partition("/")
        cases = [c for c in WORKLOADS.get(workload, ()) if chosen in {"", c.name}]
        if not cases:
            print(f"no such workload: {name}; there are {', '.join(WORKLOADS)}")
            return 2
        text = "\n".join(profile(case, ours, cores=cores) for case in cases)
        PROFILES.mkdir(exist_ok=True)
        suffix = "" if ours is OURS[0] else f"-{app}"
        file = PROFILES / f"{name.replace('/', '-')}{suffix}.txt"
        file.write_text(f"{ours.name}, {workload}. {machine()}\n\n{text}")
        print(f"{text}\nwritten to {file}")
    return 0


def _beside(cores: Cores) -> set[int]:
    """The cores that nobody is measured on; the client's where there are no others."""
    others = os.sched_getaffinity(0) - {cores.server, cores.client}
    return others or {cores.client}


def profile(case: Case, contender: Contender, *, cores: Cores) -> str:
    """Measure the case once, sampled; return the tables."""
    with (
        upstream(cores.client) as said,
        contender.serve(said.port, cores) as running,
        tempfile.TemporaryDirectory() as folder,
    ):
        asked = Asked(contender, running, upstream_port=said.port, cores=cores)
        recorder = Recorder(running.pid, file=Path(folder, "stacks"))
        figures = asked.measure(case, begin=recorder.begin, end=recorder.end)
        stacks = recorder.stacks()
    main_figure = case.columns[0]
    found = f"{main_figure.head} {figures.get(main_figure.figure, 0.0):,.{main_figure.digits}f}"
    return f"## {case.title}\n\nwhile sampled: {found}\n\n{tables(stacks)}"


class Recorder:
    """py-spy on a process and all that it has started."""

    def __init__(self, pid: int, *, file: Path) -> None:
        self._file = file
        self._command = [
            *(str(py_spy()), "record", "--pid", str(pid), "--subprocesses", "--function"),
            *("--rate", str(RATE), "--format", "raw", "--output", str(file), "--duration", "600"),
        ]

    def begin(self) -> None:
        """Return when it samples."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout
        for line in self._process.stdout:
            if "Sampling process" in line:
                return
        sys.exit(f"py-spy has ended with status {self._process.wait()}")

    def end(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.communicate(timeout=60)

    def stacks(self) -> Counter[tuple[str, ...]]:
        """The samples by stack, outermost frame first; without the processes' names."""
        counted: Counter[tuple[str, ...]] = Counter()
        for line in self._file.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            frames = tuple(f for f in stack.split(";") if f and not f.startswith("process "))
            if frames:  # a thread may have been between two
                counted[frames] += int(count)
        return counted


def tables(stacks: Counter[tuple[str, ...]]) -> str:
    total = stacks.total()
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for frames, count in stacks.items():
        own[frames[-1]] += count
        for frame in set(frames):
            whole[frame] += count
    parts = [f"{total} samples"]
    for title, counted in (("self", own), ("whole", whole)):
        rows = [
            f"{100 * count / total:6.1f} %  {frame}" for frame, count in counted.most_common(ROWS)
        ]
        parts += [f"{title}:", "\n".join(rows)]
    return "\n\n".join(parts) + "\n"
