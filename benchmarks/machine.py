"""What a run was made on and with: the machine, and the versions of all that took part."""

import os
import platform
import re
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

from benchmarks.peers import install

OURS = (
    *("fanstream", "quart", "flask", "uvicorn", "uvloop", "httptools", "gunicorn", "werkzeug"),
    "msgspec",
)


def machine() -> str:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return ", ".join(
        (
            f"{os.cpu_count()} cores {cpu[1] if cpu else platform.machine()}",
            f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "memory unknown",
            f"Linux {platform.release().partition('-')[0]}",
        )
    )


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Those of fanstream and what it stands on, and the peers' where they are other ones.

    Args:
        packages: Names of the peers' packages.
    """
    here = {d.name.lower(): d.version for d in distributions()}
    found = {"Python": platform.python_version()}
    found |= {name: here[name] for name in OURS if name in here}
    names = sorted(set(packages))
    theirs = install.versions(names) if names else {}
    for name, version in theirs.items():
        if found.get(name) != version:
            found[f"{name} (peers)" if name in found else name] = version
    return found
