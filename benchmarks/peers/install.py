"""The environments that the peers run in, below `.bench/`: `venv` for Python, `node` for Node.

    python -m benchmarks.peers.install

Made from `requirements.txt` and `package.json`, which name no versions: what is measured is the
newest of each. They are made again only when those two files change, or when they are deleted.
The programs of the system are not installed, only asked for.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

HERE = Path(__file__).parent
BENCH = HERE.parent.parent / ".bench"
PYTHON = BENCH / "venv" / "bin" / "python"
NODE = BENCH / "node"
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


class MissingError(Exception):
    """Programs that only the system's own package manager can bring."""


def install() -> None:
    """Make the environments where they are missing or older than their lists.

    Raises:
        MissingError: a program of the system is missing; says how to install it.
    """
    check_system()
    if not is_made(BENCH / "venv", from_list=HERE / "requirements.txt"):
        make(BENCH / "venv", HERE / "requirements.txt", make_venv)
    if not is_made(NODE, from_list=HERE / "package.json"):
        make(NODE, HERE / "package.json", make_node)


def check_system() -> None:
    missing = {
        "nodejs npm": not (shutil.which("node") and shutil.which("npm")),
        "redis-server": not shutil.which("redis-server"),
        "nginx": not shutil.which("nginx"),
        "libnginx-mod-nchan": not NCHAN.exists(),
        "util-linux": not shutil.which("taskset"),
    }
    if names := " ".join(name for name, is_missing in missing.items() if is_missing):
        raise MissingError(f"the peers need programs that are not here: apt-get install {names}")


def is_made(folder: Path, *, from_list: Path) -> bool:
    """Say whether the folder was made from the list as it now stands."""
    made_from = folder / f"made-from-{from_list.name}"
    return made_from.exists() and made_from.read_text() == from_list.read_text()


def make(folder: Path, wanted: Path, how: Callable[[Path, Path], None]) -> None:
    print(f"making {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    how(folder, wanted)
    (folder / f"made-from-{wanted.name}").write_text(wanted.read_text())


def make_venv(folder: Path, wanted: Path) -> None:
    run([sys.executable, "-m", "venv", folder])
    run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", "-r", wanted])


def make_node(folder: Path, wanted: Path) -> None:
    shutil.copy(wanted, folder)
    run(["npm", "install", "--prefix", folder, "--silent", "--no-audit", "--no-fund"])


def run(command: list[str | Path]) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)


def versions(names: Iterable[str]) -> dict[str, str]:
    """Look up what is installed; Python's packages, Node's, and the system's, in this order."""
    python, system = python_versions(), ("nginx", "redis-server", "libnginx-mod-nchan")
    found = {}
    for name in names:
        if name in python:
            found[name] = python[name]
        elif (manifest := NODE / "node_modules" / name / "package.json").exists():
            found[name] = json.loads(manifest.read_text())["version"]
        elif name == "node":
            found[name] = output("node", "--version").removeprefix("v")
        elif name in system:
            found[name] = output("dpkg-query", "-W", "-f", "${Version}", name)
    return found


def python_versions() -> dict[str, str]:
    listed = json.loads(output(str(PYTHON), "-m", "pip", "list", "--format", "json", "--verbose"))
    return {package["name"].lower(): package["version"] for package in listed}


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    try:
        install()
    except MissingError as error:
        sys.exit(str(error))
