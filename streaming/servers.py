"""The servers that `fanstream serve` starts, and the command of each.

Only what streams need is set here: no access log, as queries do not belong in one; streams that are
still open when the server is told to end were given their time before, so it waits no longer.
"""

import importlib.util
import ipaddress
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass

GRACE = 2
"""Seconds that a server is given to end, once its streams were ended."""

THREADS_VARIABLE = "FANSTREAM_THREADS"
"""The environment variable that says how many threads each worker of a WSGI server has."""

THREADS_BESIDE_STREAMS = 16
"""Threads beyond `max_streams`, for requests that are not streams."""

MAX_UNSENT_BYTES = 65536
"""Bytes that waitress holds for a client before a stream waits; by default it takes 16 MiB, and so
hides from `max_lag_bytes` and `send_timeout` that nothing is read."""

SPOOLED_BODIES = 16
"""Times `max_body_bytes` that waitress stores of a request's body, most of it on disk, before it
calls the application; by default a gigabyte. A longer one it refuses itself (413)."""

IDLE_CONNECTIONS = 900
"""Connections beyond the threads, or as many without them, that a server holds: those that say
nothing, those between two requests, those that are refused a stream. Where it would hold fewer,
silent clients alone could keep everyone out; see `streaming.descriptors.BESIDE_STREAMS`."""

SILENCE_TIMEOUT = 30
"""Seconds after which waitress closes a connection on which nothing comes and nothing is taken, and
nothing is being answered, be it by a silent stream; by default two minutes."""

CLEANUP_INTERVAL = 5
"""Seconds between two looks of waitress at which those are; by default 30."""

MAX_REQUEST_LINE = 8190
"""Bytes of a request's first line that gunicorn takes at most; its default of 4094 is less than a
parameter of 500 characters can come to, percent-encoded. The other servers take more."""


def describe_exposure(host: str) -> str | None:
    """Say why an application that asks for no tokens should not listen there; None where it may.

    Args:
        host: An address, or a name: it may where all that it stands for is of this machine alone.
            One that stands for nothing is the server's to refuse.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return None
    if all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found):
        return None
    return f"{host} is open to others, and no [auth] asks who they are"


_UVICORN_HEAD = "streaming.uvicorn_head:BoundedHeadProtocol"


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What is to be served, and where.

    Args:
        host: The address to listen on.
        port: The port to listen on.
        workers: Processes.
        threads: Threads of each process, where a server has them.
        max_body_bytes: Bytes of a request's body that the application takes.
    """

    host: str
    port: int
    workers: int
    threads: int
    max_body_bytes: int

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
        end_signal: What has it end in order: SIGINT where it does nothing about SIGTERM, and so
            would be gone before Python's own end.
        descriptors: What a stream takes of them; two where its socket is watched by another one
            from the beginning.
        has_workers: Whether it can run several processes on one port.
    """

    name: str
    module: str
    extra: str
    has_threads: bool
    arguments: Callable[[Serving], list[str]]
    end_signal: signal.Signals = signal.SIGTERM
    descriptors: int = 1
    has_workers: bool = True

    @property
    def package(self) -> str:
        """The package that has to be there."""
        return "gevent" if self.extra == "gevent" else self.module

    def command(self, serving: Serving) -> list[str]:
        """Return the whole command."""
        return [sys.executable, "-m", self.module, *self.arguments(serving)]


def _uvicorn(serving: Serving) -> list[str]:
    # Its other parser, h11, has a bound on heads of its own.
    parser = _UVICORN_HEAD if importlib.util.find_spec("httptools") else "h11"
    return [
        *("app_quart:app", "--host", serving.host, "--port", str(serving.port)),
        *("--workers", str(serving.workers), "--no-access-log", "--http", parser),
        *("--timeout-graceful-shutdown", str(GRACE), "--log-level", "warning"),
        # Whom to believe about a client's address is what `trusted_proxies` says.
        "--no-proxy-headers",
    ]


def _hypercorn(serving: Serving) -> list[str]:
    return [
        *("app_quart:app", "--bind", serving.address, "--workers", str(serving.workers)),
        *("--graceful-timeout", str(GRACE)),
    ]


def _granian(interface: str, app: str) -> Callable[[Serving], list[str]]:
    def arguments(serving: Serving) -> list[str]:
        threads = ["--blocking-threads", str(serving.threads)] if interface == "wsgi" else []
        # It counts connections, and takes no further one at the bound.
        connections = serving.threads + IDLE_CONNECTIONS
        return [
            *("--interface", interface, app, "--host", serving.host, "--port", str(serving.port)),
            *("--workers", str(serving.workers), "--workers-kill-timeout", str(GRACE), *threads),
            *("--backpressure", str(connections), "--log-level", "warning", "--no-ws"),
        ]

    return arguments


def _gunicorn(worker_class: str, app: str) -> Callable[[Serving], list[str]]:
    def arguments(serving: Serving) -> list[str]:
        threads = ["--threads", str(serving.threads)] if worker_class == "gthread" else []
        connections = serving.threads + IDLE_CONNECTIONS
        return [
            # One that lies in the working directory is for gunicorn's own command.
            *("--config", "python:streaming.gunicorn_hooks"),
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
        f"--connection-limit={serving.threads + IDLE_CONNECTIONS}",
        *(f"--channel-timeout={SILENCE_TIMEOUT}", f"--cleanup-interval={CLEANUP_INTERVAL}"),
        # Whom to believe about a client's address is what `trusted_proxies` says.
        "--no-clear-untrusted-proxy-headers",
        f"--outbuf-high-watermark={MAX_UNSENT_BYTES}",
        f"--max-request-body-size={serving.max_body_bytes * SPOOLED_BODIES}",
        # The other way takes no descriptor above 1023.
        *("--asyncore-use-poll", "app_flask:app"),
    ]


def _werkzeug(serving: Serving) -> list[str]:
    return [
        *("--app", "app_flask:app", "run", "--host", serving.host, "--port", str(serving.port)),
        *("--with-threads", "--no-reload", "--no-debugger"),
    ]


SERVERS: dict[str, dict[str, Server]] = {
    "quart": {
        "uvicorn": Server(
            name="uvicorn",
            module="uvicorn",
            extra="",
            has_threads=False,
            arguments=_uvicorn,
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
            descriptors=2,
        ),
        "gevent": Server(
            name="gevent",
            module="gunicorn",
            extra="gevent",
            has_threads=False,
            arguments=_gunicorn("gevent", "app_flask:app"),
            descriptors=2,
        ),
        "waitress": Server(
            name="waitress",
            module="waitress",
            extra="waitress",
            has_threads=True,
            arguments=_waitress,
            end_signal=signal.SIGINT,
            descriptors=2,
            has_workers=False,
        ),
        "granian": Server(
            name="granian",
            module="granian",
            extra="granian",
            has_threads=True,
            arguments=_granian("wsgi", "app_flask:app"),
        ),
        "werkzeug": Server(
            name="werkzeug",
            module="flask",
            extra="",
            has_threads=False,
            arguments=_werkzeug,
            end_signal=signal.SIGINT,
            descriptors=2,
            has_workers=False,
        ),
    },
}
"""The servers by application and name, the default first."""
