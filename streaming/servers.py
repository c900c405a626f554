"""The servers that `fanstream serve` starts, and the command of each.

Only what streams need is set here: no access log, as queries do not belong in one; streams that are
still open when the server is told to end were given their time before, so it waits no longer.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

GRACE = 2
"""Seconds that a server is given to end, once its streams were ended."""

KEPT_ALIVE = 100
"""Connections beyond the streams that a server keeps open between requests."""

MAX_REQUEST_LINE = 8190
"""Bytes of a request's first line that gunicorn takes at most; its default of 4094 is less than a
parameter of 500 characters can come to, percent-encoded. The other servers take more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What is to be served, and where.

    Args:
        host: The address to listen on.
        port: The port to listen on.
        workers: Processes.
        threads: Threads of each process, where a server has them.
    """

    host: str
    port: int
    workers: int
    threads: int

    @property
    def address(self) -> str:
        """The address as a server's option has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One way to serve one application.

    Args:
        name: What `--server` calls it.
        module: The module that is run, with `python -m`; its package has to be installed.
        extra: The extra of the distribution that installs it.
        has_threads: Whether a stream takes a thread of it.
        arguments: Makes the command's arguments.
    """

    name: str
    module: str
    extra: str
    has_threads: bool
    arguments: Callable[[Serving], list[str]]

    @property
    def package(self) -> str:
        """The package that has to be there."""
        return "gevent" if self.extra == "gevent" else self.module

    def command(self, serving: Serving) -> list[str]:
        """Return the whole command."""
        return [sys.executable, "-m", self.module, *self.arguments(serving)]


def _uvicorn(serving: Serving) -> list[str]:
    return [
        *("app_quart:app", "--host", serving.host, "--port", str(serving.port)),
        *("--workers", str(serving.workers), "--no-access-log"),
        *("--timeout-graceful-shutdown", str(GRACE), "--log-level", "warning"),
    ]


def _hypercorn(serving: Serving) -> list[str]:
    return [
        *("app_quart:app", "--bind", serving.address, "--workers", str(serving.workers)),
        *("--graceful-timeout", str(GRACE)),
    ]


def _granian(interface: str, app: str) -> Callable[[Serving], list[str]]:
    def arguments(serving: Serving) -> list[str]:
        threads = ["--blocking-threads", str(serving.threads)] if interface == "wsgi" else []
        return [
            *("--interface", interface, app, "--host", serving.host, "--port", str(serving.port)),
            *("--workers", str(serving.workers), "--workers-kill-timeout", str(GRACE), *threads),
            *("--backpressure", str(serving.threads), "--log-level", "warning", "--no-ws"),
        ]

    return arguments


def _gunicorn(worker_class: str, app: str) -> Callable[[Serving], list[str]]:
    def arguments(serving: Serving) -> list[str]:
        threads = ["--threads", str(serving.threads)] if worker_class == "gthread" else []
        connections = serving.threads + KEPT_ALIVE
        return [
            *(app, "--worker-class", worker_class, "--bind", serving.address, *threads),
            *("--workers", str(serving.workers), "--worker-connections", str(connections)),
            # Its warnings quote malformed requests, with what stands in their query and headers.
            *("--graceful-timeout", str(GRACE), "--log-level", "error"),
            *("--limit-request-line", str(MAX_REQUEST_LINE)),
        ]

    return arguments


def _waitress(serving: Serving) -> list[str]:
    return [
        *(f"--listen={serving.address}", f"--threads={serving.threads}"),
        *(f"--connection-limit={serving.threads + KEPT_ALIVE}",),
        # Without it waitress does not look at a client that it answers, and so not at its leaving.
        *("--channel-request-lookahead=1", "app_flask:app"),
    ]


def _werkzeug(serving: Serving) -> list[str]:
    return [
        *("--app", "app_flask:app", "run", "--host", serving.host, "--port", str(serving.port)),
        *("--with-threads", "--no-reload", "--no-debugger"),
    ]


SERVERS: dict[str, dict[str, Server]] = {
    "quart": {
        "uvicorn": Server(
            name="uvicorn", module="uvicorn", extra="", has_threads=False, arguments=_uvicorn
        ),
        "hypercorn": Server(
            name="hypercorn",
            module="hypercorn",
            extra="hypercorn",
            has_threads=False,
            arguments=_hypercorn,
        ),
        "granian": Server(
            name="granian",
            module="granian",
            extra="granian",
            has_threads=False,
            arguments=_granian("asgi", "app_quart:app"),
        ),
        "gunicorn": Server(
            name="gunicorn",
            module="gunicorn",
            extra="gunicorn",
            has_threads=False,
            arguments=_gunicorn("asgi", "app_quart:app"),
        ),
    },
    "flask": {
        "gunicorn": Server(
            name="gunicorn",
            module="gunicorn",
            extra="gunicorn",
            has_threads=True,
            arguments=_gunicorn("gthread", "app_flask:app"),
        ),
        "gevent": Server(
            name="gevent",
            module="gunicorn",
            extra="gevent",
            has_threads=False,
            arguments=_gunicorn("gevent", "app_flask:app"),
        ),
        "waitress": Server(
            name="waitress",
            module="waitress",
            extra="waitress",
            has_threads=True,
            arguments=_waitress,
        ),
        "granian": Server(
            name="granian",
            module="granian",
            extra="granian",
            has_threads=True,
            arguments=_granian("wsgi", "app_flask:app"),
        ),
        "werkzeug": Server(
            name="werkzeug", module="flask", extra="", has_threads=False, arguments=_werkzeug
        ),
    },
}
"""The servers by application and name, the default first."""
