"""A Python newer than the one that runs the tests, and an environment of it for the servers.

What is served on it is the checkout, with the releases that requirements.lock pins; the tools of
development are left out. The environment is built once and kept until the lock changes.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

from tests.serving import ROOT

ENVIRONMENTS = ROOT / ".venv-newer"

# The newest Python that the lock has wheels for.
_NEWEST_MINOR = 14

# Seconds.
_ASK_TIMEOUT = 10.0
_INSTALL_TIMEOUT = 100.0  # less than a test may take before it counts as hung

# Held while an environment is built: the threads of a run ask for the same.
_BUILDING = threading.Lock()

_LOCK = ROOT / "requirements.lock"
_PYENV = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()


@cache
def find_newer_python() -> Path | None:
    """Return the newest Python here that is newer than the running one; None where there is none.

    On the PATH or among pyenv's. Those that do not run, as shims of versions that are not chosen,
    are passed over.
    """
    for minor in range(_NEWEST_MINOR, sys.version_info.minor, -1):
        on_path = shutil.which(f"python3.{minor}")
        candidates = [Path(on_path)] if on_path else []
        candidates += sorted(_PYENV.glob(f"versions/3.{minor}.*/bin/python"), reverse=True)
        for candidate in candidates:
            if version_of(candidate) == f"3.{minor}":
                return candidate
    return None


class InstallError(Exception):
    """An environment could not be built, such as where no index can be reached."""


def make_environment(python: Path) -> Path:
    """Build an environment of a Python, unless it is there; return its interpreter.

    Raises:
        InstallError: It could not be built; that is tried once in each run.
    """
    with _BUILDING:
        made = _make_once(python)
    if isinstance(made, InstallError):
        raise made
    return made


@cache
def _make_once(python: Path) -> Path | InstallError:
    lock = _runtime_part(_LOCK.read_text())
    folder = ENVIRONMENTS / f"{version_of(python)}-{hashlib.sha256(lock.encode()).hexdigest()[:12]}"
    ENVIRONMENTS.mkdir(exist_ok=True)
    (ENVIRONMENTS / ".gitignore").write_text("*\n")
    with (ENVIRONMENTS / "building").open("w") as building:
        # Nor must two runs of the tests build at once.
        fcntl.flock(building, fcntl.LOCK_EX)
        if not (folder / "built").exists():
            try:
                _build(python, folder, lock)
            except InstallError as exc:
                return exc
    return folder / "bin" / "python"


def _build(python: Path, folder: Path, lock: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    # Without a pip of its own: that would need `ensurepip`, which a system's Python may lack.
    _run(python, "-m", "venv", "--without-pip", folder)
    requirements = folder / "requirements.lock"
    requirements.write_text(lock)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python")
    quiet = ("--quiet", "--disable-pip-version-check")
    _run(*pip, "install", *quiet, "--no-deps", "--require-hashes", "-r", requirements)
    (folder / "built").touch()


def _runtime_part(lock: str) -> str:
    """Leave out of a lock what only the tools of development need, by what it says of each."""
    blocks = re.findall(r"^[a-z0-9].*(?:\n[ ].*)*", lock, re.MULTILINE)
    by = re.compile(r"#\s+(?:via )?(\S.*)$", re.MULTILINE)
    needed_by = {block: set(by.findall(block)) for block in blocks}
    names = {"fanstream (pyproject.toml)"}
    wanted: set[str] = set()
    while more := {block for block in blocks if needed_by[block] & names} - wanted:
        wanted |= more
        names |= {block.partition("==")[0] for block in more}
    return "\n".join(block for block in blocks if block in wanted)


@cache
def version_of(python: Path) -> str:
    """Ask an interpreter for its major and minor version; empty where it does not run."""
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        asked = subprocess.run(
            [python, "-c", question], check=False, capture_output=True, timeout=_ASK_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.decode().strip()


def _run(*command: str | Path) -> None:
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT
        )
    except subprocess.TimeoutExpired as exc:
        raise InstallError(str(exc)) from exc
    if done.returncode:
        raise InstallError(f"{done.args}:\n{done.stdout}{done.stderr}")
