"""The stacks of the matrix, an application on a server each, and how their servers are started.

All run under `fanstream serve` with one configuration, whose bounds are small enough for a test to
reach. What a stack is allowed beyond the others stands here, with its reason.
"""

import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import pytest

from streaming.servers import SERVERS
from tests.servers.newer_python import (
    InstallError,
    find_newer_python,
    make_environment,
    version_of,
)
from tests.serving import LOOPBACK, ROOT, Served, free_port, serving_command
from tests.upstreams import UpstreamsThread

MAX_STREAMS = 12
DRAIN_TIMEOUT = 3.0
SEND_TIMEOUT = 1.0

CONFIG = f"""
[server]
max_streams = {MAX_STREAMS}
max_lag_bytes = 1000000
send_timeout = {SEND_TIMEOUT}
drain_timeout = {{drain_timeout}}
{{more}}

[feeds.quick.params.key]
[feeds.quick.upstreams.a]
url = "${{{{UPSTREAMS}}}}/json/{{{{key}}}}"

[feeds.held]
on_disconnect = "cancel"
[feeds.held.params.key]
[feeds.held.upstreams.a]
url = "${{{{UPSTREAMS}}}}/held/{{{{key}}}}"

[feeds.talking]
on_disconnect = "cancel"
[feeds.talking.params.key]
[feeds.talking.upstreams.a]
url = "${{{{UPSTREAMS}}}}/lines/{{{{key}}}}?lines=0&delay=0.2"
read = "lines"

[feeds.flood]
share = true
on_disconnect = "cancel"
[feeds.flood.params.key]
[feeds.flood.upstreams.a]
url = "${{{{UPSTREAMS}}}}/endless/{{{{key}}}}?delay=0.03"
read = "stream"
"""

# What `.venv/bin/fanstream` does, for interpreters that have no such script.
_FANSTREAM = ("-c", "from streaming.cli import main; main()")

# What the table calls a server, and whose versions it gives; elsewhere its name says both.
_TITLES = {
    ("quart", "granian"): "granian (ASGI)",
    ("quart", "gunicorn"): "gunicorn (asgi worker)",
    ("flask", "gunicorn"): "gunicorn (gthread)",
    ("flask", "gevent"): "gunicorn (gevent)",
    ("flask", "granian"): "granian (WSGI)",
}
_DISTRIBUTIONS = {"gevent": ("gunicorn", "gevent")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """An application on a server.

    Args:
        app: `quart` or `flask`.
        name: What `--server` calls the server.
        noticed_within: Seconds in which the leaving of a viewer has to be noticed.
        python: A newer Python to serve it with; None for the one that runs the tests.
    """

    app: str
    name: str
    noticed_within: float = 1.0
    python: Path | None = None

    def __str__(self) -> str:
        version = f"-{version_of(self.python)}" if self.python else ""
        return f"{self.app}-{self.name}{version}"

    @property
    def pair(self) -> tuple[str, str]:
        """What it is on whatever Python."""
        return self.app, self.name

    @property
    def title(self) -> str:
        """What the table calls it."""
        return f"{self.app.title()}, {_TITLES.get(self.pair, self.name)}"

    @property
    def distributions(self) -> tuple[str, ...]:
        """What the server is installed from."""
        return _DISTRIBUTIONS.get(self.name, (self.name,))

    @property
    def versions(self) -> str:
        """The versions that are installed here."""
        return ", ".join(f"{name} {metadata.version(name)}" for name in self.distributions)

    @property
    def is_missing(self) -> bool:
        """Say whether it cannot be tried here, which CI does not put up with."""
        package = SERVERS[self.app][self.name].package
        return importlib.util.find_spec(package) is None and "CI" not in os.environ


# granian gives a WSGI application no socket: the second beat, of a second each, fails.
_NOTICED_WITHIN = {("flask", "granian"): 2.5}

STACKS = [
    Stack(app=app, name=name, noticed_within=_NOTICED_WITHIN.get((app, name), 1.0))
    for app, servers in SERVERS.items()
    for name in servers
]

# The ASGI servers alone: they are asyncio's own, and that changes. Hypercorn's shutdown does with
# Python 3.12, whose `Server.wait_closed` waits for the connections.
NEWER_STACKS = [
    replace(stack, python=python)
    for stack in STACKS
    if stack.app == "quart" and (python := find_newer_python())
]


@contextmanager
def serving_stack(
    stack: Stack,
    upstreams: UpstreamsThread,
    *,
    folder: Path,
    drain_timeout: float = DRAIN_TIMEOUT,
    more: str = "",
    host: str = LOOPBACK,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
) -> Iterator[Served]:
    """Run a stack for the block.

    Args:
        stack: Which.
        upstreams: What its feeds call.
        folder: Where its configuration and its log are written.
        drain_timeout: Seconds, in its configuration.
        more: Further lines of `[server]` in that.
        host: Where it listens; it is reached on 127.0.0.1.
        cwd: Where `app_flask` and `app_quart` are found first.
        env: More variables.
    """
    port = free_port()
    config = folder / f"feeds-{port}.toml"
    config.write_text(CONFIG.format(drain_timeout=drain_timeout, more=more))
    options = ("--app", stack.app, "--server", stack.name, "--host", host, "--port", str(port))
    arguments = (*_FANSTREAM, "serve", *options, "--config", str(config))
    env = {"UPSTREAMS": upstreams.base_url, **(env or {})}
    python = Path(sys.executable)
    if stack.python is not None:
        python = _environment_of(stack.python)
        env["PYTHONPATH"] = str(ROOT)  # the checkout is not installed there
    with serving_command(
        *arguments, port=port, folder=folder, env=env, cwd=cwd, python=python
    ) as served:
        yield served


def _environment_of(python: Path) -> Path:
    """Return the interpreter of an environment; without one, skip on a person's machine."""
    try:
        return make_environment(python)
    except InstallError as exc:
        if "CI" in os.environ:
            raise
        pytest.skip(f"no environment of {python}: {exc}")
