"""The command: `fanstream serve` and `fanstream demo`.

Every mistake in the options or the configuration ends the start with status 2 and a sentence that
names it.
"""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import click

from streaming.application import Refusal, load_or_exit
from streaming.config import (
    CONFIG_VARIABLE,
    DEMO_SOURCE,
    DEMO_UPSTREAMS_VARIABLE,
    Loaded,
    load,
)
from streaming.core.errors import ConfigError
from streaming.core.settings import MEMORY_URL
from streaming.demo import FEEDS_FILE
from streaming.demo.server import DemoUpstreams
from streaming.descriptors import describe_shortage, raise_limit
from streaming.servers import (
    SERVERS,
    THREADS_BESIDE_STREAMS,
    THREADS_VARIABLE,
    Server,
    Serving,
    describe_exposure,
)
from streaming.supervisor import Supervisor

_DEVELOPMENT = {
    "quart": (SERVERS["quart"]["uvicorn"], ["--log-level", "debug"]),
    "flask": (SERVERS["flask"]["werkzeug"], ["--debug", "--debugger"]),
}

_APP = click.option("--app", type=click.Choice(list(SERVERS)), default="quart", show_default=True)
_HOST = click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
_PORT = click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
_CONFIG = click.option(
    "--config", metavar="FILE", help="Default: $FANSTREAM_CONFIG, ./feeds.toml, the demo feeds."
)


@click.group()
@click.version_option(package_name="fanstream")
def main() -> None:
    """One request, many upstream calls, each answer pushed the moment it arrives."""


@main.command()
@_APP
@click.option("--server", help="Default: uvicorn for quart, gunicorn for flask.")
@_HOST
@_PORT
@_CONFIG
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--threads", type=click.IntRange(9), help="Default: max_streams + 16.")
def serve(
    *,
    app: str,
    server: str | None,
    host: str,
    port: int,
    config: str | None,
    workers: int,
    threads: int | None,
) -> None:
    """Serve the feeds of a configuration, until Ctrl-C or SIGTERM."""
    loaded = load_or_exit(config)
    chosen = _choose_server(app, server)
    if workers > 1 and not chosen.has_workers:
        several = ", ".join(other.name for other in SERVERS[app].values() if other.has_workers)
        raise click.UsageError(
            f"--workers above 1: {chosen.name} is one process; several are run by {several}, or"
            " each by a command of its own, on a port of its own"
        )
    if workers > 1 and loaded.settings.log.url == MEMORY_URL:
        raise click.UsageError(
            "--workers above 1 needs a log that all processes share, and [log] url is 'memory:':"
            " a run would be found by one process only"
        )
    if threads is not None and not chosen.has_threads:
        click.echo(f"note: --threads is ignored, {chosen.name} has none to stream in", err=True)
    env = {**os.environ, CONFIG_VARIABLE: str(Path(config).absolute())} if config else os.environ
    run = _serve(
        chosen, loaded=loaded, env=env, host=host, port=port, workers=workers, threads=threads
    )
    sys.exit(asyncio.run(run))


@main.command()
@_APP
@click.option("--server", help="Default: uvicorn for quart, gunicorn for flask.")
@_HOST
@_PORT
def demo(app: str, server: str | None, host: str, port: int) -> None:
    """Serve the demo feeds, and the upstreams that they call."""
    chosen = _choose_server(app, server)
    sys.exit(asyncio.run(_demo(chosen, host=host, port=port)))


def develop(loaded: Loaded, *, app: str, host: str, port: int, debug: bool, reload: bool) -> None:
    """Serve an application for development, until Ctrl-C or SIGTERM.

    Args:
        loaded: What it serves.
        app: `quart`, on uvicorn, or `flask`, on Werkzeug.
        host: The address to listen on.
        port: The port to listen on.
        debug: Have uvicorn log all that it does, and Flask show its debugger.
        reload: Start again when a source file changes.
    """
    server, debugging = _DEVELOPMENT[app]
    extra = [*(debugging if debug else []), *(["--reload"] if reload else [])]
    run = _serve(server, loaded=loaded, env=os.environ, host=host, port=port, extra=extra)
    sys.exit(asyncio.run(run))


async def _demo(server: Server, *, host: str, port: int) -> int:
    async with DemoUpstreams() as upstreams:
        env = {
            **os.environ,
            CONFIG_VARIABLE: str(FEEDS_FILE),
            DEMO_UPSTREAMS_VARIABLE: upstreams.base_url,
        }
        loaded = replace(load(None, env=env, cwd=Path.cwd()), source=DEMO_SOURCE)
        click.echo(f"demo upstreams at {upstreams.base_url}")
        return await _serve(server, loaded=loaded, env=env, host=host, port=port)


async def _serve(
    server: Server,
    *,
    loaded: Loaded,
    env: Mapping[str, str],
    host: str,
    port: int,
    workers: int = 1,
    threads: int | None = None,
    extra: Sequence[str] = (),
) -> int:
    settings = loaded.settings.server
    await _check_log(loaded)
    if threads is None or not server.has_threads:
        threads = settings.max_streams + THREADS_BESIDE_STREAMS
    serving = Serving(
        host=host,
        port=port,
        workers=workers,
        threads=threads,
        max_body_bytes=settings.max_body_bytes,
    )
    _check_free(host, port)
    shortage = describe_shortage(settings, per_stream=server.descriptors, limit=raise_limit())
    if shortage is not None:
        click.echo(f"warning: {shortage}", err=True)
    if loaded.settings.auth is None and (exposure := describe_exposure(host)):
        click.echo(f"warning: {exposure}", err=True)
    supervisor = Supervisor(
        [*server.command(serving), *extra],
        env={**env, THREADS_VARIABLE: str(threads)} if server.has_threads else env,
        host=host,
        port=port,
        drain_timeout=settings.drain_timeout,
        end_signal=server.end_signal,
        on_ready=lambda: click.echo(
            f"{loaded.source} on {server.name}: http://{serving.address}/  (Ctrl-C ends it)"
        ),
        on_ending=lambda: click.echo(
            f"ending: streams have up to {settings.drain_timeout:g} s (Ctrl-C again ends at once)"
        ),
    )
    return await supervisor.run()


async def _check_log(loaded: Loaded) -> None:
    """Say so now where the log cannot be used, rather than at the first request."""
    url = loaded.settings.log.url
    if url == MEMORY_URL:
        return
    from streaming.engine.redis_check import check_redis

    try:
        await check_redis(url)
    except ConfigError as exc:
        raise Refusal(str(ConfigError(exc.path, exc.reason, file=loaded.source))) from exc


def _choose_server(app: str, name: str | None) -> Server:
    servers = SERVERS[app]
    name = name or next(iter(servers))
    if name not in servers:
        other = next((other for other in SERVERS if name in SERVERS[other]), None)
        hint = f"; {name} serves {other}, so: --app {other}" if other else ""
        raise click.UsageError(f"{app} is served by one of: {', '.join(servers)}{hint}")
    server = servers[name]
    if find_spec(server.package) is None:
        raise click.UsageError(f"{name} is not installed: pip install 'fanstream[{server.extra}]'")
    return server


def _check_free(host: str, port: int) -> None:
    """Say so before a server does it in a traceback of its own."""
    if not host:
        raise Refusal("--host is empty: 0.0.0.0 means all addresses of this machine")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            hint = "; --port takes another" if exc.errno == errno.EADDRINUSE else ""
            raise Refusal(f"cannot listen on {host}:{port}: {exc.strerror}{hint}") from exc
