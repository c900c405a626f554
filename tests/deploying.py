"""What deploy/ says, run on this machine: the commands of the units, with other folders.

A unit names folders of a machine that is set up; here each stands for one in a temporary folder, in
which the files of deploy/ lie under the names that deploy/README.md installs them by. Ports are
those of the files.
"""

import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.programs import find_program
from tests.serving import LOOPBACK, ROOT
from tests.viewing import TIMEOUT, Viewer, eventually

DEPLOY = ROOT / "deploy"
UNITS = DEPLOY / "systemd"
README = (DEPLOY / "README.md").read_text()

HTTPS_PORT = 8443
REDIS_PORT = 6390
PORTS = (8101, 8102, 8103, 8104)

# Seconds for the commands that check a configuration, or wait until a process is ready.
_CHECK_TIMEOUT = 60.0

_INSTALLED = ("nginx.conf", "upstreams.conf", "redis.conf", "feeds.toml")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of systemd, as far as its file says.

    Args:
        name: The file's name.
        instance: What `%i` stands for; empty where it is no template.
    """

    name: str
    instance: str = ""

    def keys(self, key: str) -> list[str]:
        """All values of a key, in their order, with the instance in them."""
        text = (UNITS / self.name).read_text()
        values = re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)
        return [value.replace("%i", self.instance) for value in values]

    def key(self, key: str) -> str:
        """The one value of a key."""
        [value] = self.keys(key)
        return value

    @property
    def stop_signal(self) -> str:
        """What its first process is told to end by; systemd's own choice where it does not say."""
        return next(iter(self.keys("KillSignal")), "SIGTERM")

    @property
    def seconds_to_stop(self) -> float:
        """How long systemd waits for it to end."""
        return float(self.key("TimeoutStopSec"))


REDIS = Unit("fanstream-redis.service")
NGINX = Unit("fanstream-nginx.service")


def quart(port: int) -> Unit:
    """A process of Quart under `fanstream serve`."""
    return Unit("fanstream@.service", str(port))


def flask(port: int) -> Unit:
    """A process of Flask under gunicorn's own command."""
    return Unit("fanstream-gunicorn@.service", str(port))


def environment() -> dict[str, str]:
    """The variables of the environment file."""
    lines = (DEPLOY / "environment").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@dataclass(slots=True)
class Deployment:
    """Everything that runs, by unit; see `deployed`.

    Args:
        root: What stands for the folders of the machine.
        variables: What the environment file says here.
        processes: What has been started.
    """

    root: Path
    variables: Mapping[str, str]
    processes: dict[Unit, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, unit: Unit) -> None:
        """Do what systemd does at a start: run its commands, one after the other."""
        for line in unit.keys("ExecStartPre"):
            self.run(line, unit)
        with self.log_file(unit).open("ab") as log:
            self.processes[unit] = subprocess.Popen(
                self._command(unit.key("ExecStart")),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(unit),
                cwd=self._folder(unit),
                process_group=0,
            )
        for line in unit.keys("ExecStartPost"):
            self.run(line, unit)

    def stop(self, unit: Unit) -> int:
        """Do what systemd does at a stop: tell the first process, and wait as long as it does."""
        process = self.processes[unit]
        process.send_signal(signal.Signals[unit.stop_signal])
        return process.wait(unit.seconds_to_stop)

    def kill(self, unit: Unit) -> None:
        """End all processes of a unit at once, as the lack of memory or a fault may."""
        process = self.processes[unit]
        for pid in [*_descendants(process.pid), process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(_CHECK_TIMEOUT)

    def run(self, line: str, unit: Unit) -> str:
        """Run a command of a unit that ends by itself, such as a check; give what it says."""
        done = subprocess.run(
            self._command(line),
            check=False,
            capture_output=True,
            text=True,
            env=self._environment(unit),
            cwd=self._folder(unit),
            timeout=_CHECK_TIMEOUT,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}\n{self.log(unit)}"
        return done.stdout + done.stderr

    def descendants(self, unit: Unit) -> set[int]:
        """The processes below the unit's first one, such as the workers of nginx."""
        return set(_descendants(self.processes[unit].pid))

    def log_file(self, unit: Unit) -> Path:
        """Where what the unit says is written."""
        return self.root / f"{unit.name}-{unit.instance}.log"

    def log(self, unit: Unit) -> str:
        """What the unit has said."""
        file = self.log_file(unit)
        return file.read_text(errors="replace") if file.exists() else ""

    def reload(self, unit: Unit) -> None:
        """Do what systemd does at a reload: run its commands, one after the other."""
        for line in unit.keys("ExecReload"):
            self.run(line.replace("$MAINPID", str(self.processes[unit].pid)), unit)

    def access_log(self) -> str:
        """What nginx has written of requests that have ended."""
        return (self.root / "var/lib/fanstream-nginx/access.log").read_text()

    def accesses(self, path: str) -> list[list[str]]:
        """The ports of the processes that requests for a path were sent to, each in its order."""
        asked = [line for line in self.access_log().splitlines() if f'"{path}"' in line]
        return [re.findall(r"127\.0\.0\.1:(8\d{3})", line) for line in asked]

    def place(self, line: str) -> str:
        """Have a line name the folders here instead of the machine's."""
        line = line.replace("/opt/fanstream/bin/", f"{Path(sys.executable).parent}/")
        return re.sub(r"(?<![\w/])/(etc/fanstream|var/lib)/", rf"{self.root}/\1/", line)

    def _command(self, line: str) -> list[str]:
        program, *arguments = shlex.split(self.place(line))
        found = program if Path(program).exists() else find_program(Path(program).name)
        return [found, *arguments]

    def _folder(self, unit: Unit) -> Path:
        """Make the folder that is the unit's own, and give the one that it works in."""
        for name in unit.keys("StateDirectory"):
            (self.root / "var/lib" / name).mkdir(parents=True, exist_ok=True)
        return Path(self.place(f"{next(iter(unit.keys('WorkingDirectory')), self.root)}/"))

    def _environment(self, unit: Unit) -> dict[str, str]:
        named = dict(line.split("=", 1) for line in unit.keys("Environment"))
        mine = {name: self.place(value) for name, value in named.items()}
        keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return keep | (dict(self.variables) if unit.keys("EnvironmentFile") else {}) | mine


@contextmanager
def deployed(root: Path, *units: Unit, variables: Mapping[str, str]) -> Iterator[Deployment]:
    """Install the files, start the units one after the other, and end them after the block.

    Args:
        root: What stands for the folders of the machine.
        *units: What to start.
        variables: Of the environment file, those that are other ones here.
    """
    for port in (REDIS_PORT, HTTPS_PORT, *PORTS):
        _check_free(port)
    _install(root / "etc/fanstream")
    running = Deployment(root, environment() | dict(variables))
    with ExitStack() as ending:
        ending.callback(_end_all, running)
        for unit in units:
            running.start(unit)
            if unit in {REDIS, NGINX}:
                port = REDIS_PORT if unit is REDIS else HTTPS_PORT
                eventually(lambda port=port: _is_taken(port))
        yield running


def _install(folder: Path) -> None:
    """Put the files where deploy/README.md has them, and make the certificate by its command."""
    (folder / "tls").mkdir(parents=True)
    for name in _INSTALLED:
        (folder / name).symlink_to(DEPLOY / name)
    command = next(line for line in README.splitlines() if line.startswith("openssl req"))
    arguments = shlex.split(command.replace("/etc/fanstream", str(folder)))
    arguments[0] = find_program("openssl")
    subprocess.run(arguments, check=True, capture_output=True, timeout=_CHECK_TIMEOUT)


def _check_free(port: int) -> None:
    """Skip on a person's machine where something else listens on a port of the files."""
    if _is_taken(port) and not os.environ.get("CI"):
        pytest.skip(f"port {port} is taken, and deploy/ names it")
    assert not _is_taken(port), f"CI needs port {port}"


def _is_taken(port: int) -> bool:
    with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1.0):
        return True
    return False


def _end_all(running: Deployment) -> None:
    """End what still runs, nginx first, so that nobody waits for viewers; all by their ids."""
    left = [unit for unit, process in running.processes.items() if process.poll() is None]
    for unit in reversed(left):
        try:
            running.stop(unit)
        except subprocess.TimeoutExpired:
            running.kill(unit)
            raise


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (thread / "children").read_text().split()]
    return found + [below for child in found for below in _descendants(child)]


@contextmanager
def asking(running: Deployment, *, http2: bool = True) -> Iterator[httpx.Client]:
    """A client of nginx, by default over HTTP/2, that believes its certificate alone."""
    tls = ssl.create_default_context(cafile=running.root / "etc/fanstream/tls/cert.pem")
    base_url = f"https://{LOOPBACK}:{HTTPS_PORT}"
    with httpx.Client(
        base_url=base_url, http2=http2, verify=tls, timeout=TIMEOUT, trust_env=False
    ) as client:
        yield client


def ask(running: Deployment, path: str, *, method: str = "GET", **more: Any) -> httpx.Response:
    """Ask nginx on a connection of its own, and read the whole answer."""
    with asking(running) as client:
        answer = client.request(method, path, **more)
        assert answer.http_version == "HTTP/2"
        return answer


@contextmanager
def watching(running: Deployment, path: str, **more: Any) -> Iterator[Viewer]:
    """Open a stream through nginx on a connection of its own; leaving the block closes it."""
    with asking(running) as client, client.stream("GET", path, **more) as response:
        assert response.http_version == "HTTP/2"
        yield Viewer(response)
