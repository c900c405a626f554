"""gunicorn's configuration for `app_flask:app` and `app_quart:app`.

    gunicorn -c python:streaming.gunicorn_conf app_flask:app
    gunicorn -c python:streaming.gunicorn_conf -k asgi app_quart:app

The module's variables are gunicorn's settings; options of the command line go before them. It reads
the feeds' configuration as the applications do, for the bounds that both have to agree on.
"""

import math
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from streaming.config import load
from streaming.core.errors import ConfigError
from streaming.core.settings import MEMORY_URL
from streaming.gunicorn_hooks import post_fork, pre_fork, worker_int
from streaming.servers import (
    GRACE,
    IDLE_CONNECTIONS,
    MAX_REQUEST_LINE,
    THREADS_BESIDE_STREAMS,
    describe_exposure,
)

__all__ = [
    "graceful_timeout",
    "limit_request_line",
    "loglevel",
    "on_starting",
    "post_fork",
    "pre_fork",
    "threads",
    "timeout",
    "worker_class",
    "worker_connections",
    "worker_int",
]

_WSGI_WORKERS = ("sync", "gthread", "gevent", "eventlet", "tornado")

MIN_TIMEOUT = 30
"""Seconds, gunicorn's default: a worker that shows no life for so long is killed."""


def _refuse(reason: str) -> NoReturn:
    click.echo(f"Error: {reason}", err=True)
    sys.exit(2)


try:
    _settings = load(None, env=os.environ, cwd=Path.cwd()).settings
except ConfigError as exc:
    _refuse(str(exc))

worker_class = "gthread"
threads = _settings.server.max_streams + THREADS_BESIDE_STREAMS
worker_connections = threads + IDLE_CONNECTIONS
# A worker that ends has this long, and so has gunicorn itself when it is told to.
graceful_timeout = math.ceil(_settings.server.drain_timeout) + GRACE
timeout = max(MIN_TIMEOUT, graceful_timeout)
limit_request_line = MAX_REQUEST_LINE
# Its warnings quote malformed requests, with what stands in their query and headers.
loglevel = "error"


def on_starting(server: Any) -> None:
    """Refuse to start where streams could not be served; called before there is any worker.

    Args:
        server: gunicorn's arbiter.
    """
    cfg = server.cfg
    _check_pair(cfg.worker_class_str, app_uri=str(getattr(server.app, "app_uri", None)))
    if cfg.worker_class_str == "sync":
        _refuse("gunicorn's sync worker serves one stream and nothing else: use -k gthread")
    if cfg.workers > 1 and _settings.log.url == MEMORY_URL:
        _refuse(
            f"{cfg.workers} workers need a log that all processes share, and [log] url is"
            " 'memory:': a run would be found by one process only"
        )
    # An address of another form is that of a Unix socket, or one that was opened before.
    hosts = [address[0] or "0.0.0.0" for address in cfg.address if isinstance(address, tuple)]  # noqa: S104
    if _settings.auth is None:
        for exposure in filter(None, map(describe_exposure, hosts)):
            click.echo(f"warning: {exposure}", err=True)
    if cfg.graceful_timeout < graceful_timeout:
        click.echo(
            f"warning: graceful_timeout is {cfg.graceful_timeout} s, and streams that have"
            f" {_settings.server.drain_timeout:g} s to end (drain_timeout) need"
            f" {graceful_timeout} s",
            err=True,
        )


def _check_pair(worker_class: str, *, app_uri: str) -> None:
    """Refuse a worker that cannot call the application: each request would be a 500."""
    module = app_uri.partition(":")[0]
    if module == "app_flask" and worker_class == "asgi":
        _refuse("app_flask is a WSGI application, and the worker is asgi: use -k gthread or gevent")
    if module == "app_quart" and worker_class in _WSGI_WORKERS:
        _refuse(f"app_quart is an ASGI application, and the worker is {worker_class}: use -k asgi")
