"""What processes take, from /proc: CPU time, memory, and how busy a core is. Linux only.

A server is all the processes that the started one has, down to the last; CPU time comes in ticks of
10 ms. Memory is PSS, the proportional set size: what several processes share is counted once.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_BUSY = (0, 1, 2, 5, 6)  # user, nice, system, and both kinds of interrupts


def tree(pid: int) -> list[int]:
    """The process and all that it has started, and so on."""
    children: dict[int, list[int]] = {}
    for child, fields in _every_stat():
        children.setdefault(int(fields[1]), []).append(child)
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time, all threads, the ended ones included."""
    seconds = 0.0
    for pid in pids:
        with suppress(OSError):
            fields = _stat(pid)
            seconds += (int(fields[11]) + int(fields[12])) / _TICKS
    return seconds


def pss_kib(pids: list[int]) -> int:
    kib = 0
    for pid in pids:
        with suppress(OSError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            kib += sum(int(line.split()[1]) for line in text.splitlines() if line[:4] == "Pss:")
    return kib


def busy_seconds(core: int) -> float:
    """How long a core has been busy since the machine's start, with whatever."""
    lines = Path("/proc/stat").read_text().splitlines()
    ticks = next(line.split()[1:] for line in lines if line.startswith(f"cpu{core} "))
    return sum(int(ticks[n]) for n in _BUSY) / _TICKS


def _every_stat() -> Iterator[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                yield int(entry.name), _stat(int(entry.name))


def _stat(pid: int) -> list[str]:
    """The fields behind the name, which may hold blanks: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
