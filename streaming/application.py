"""What `app_flask.py` and `app_quart.py` share: the settings, from the environment or the options.

Loading reads the configuration and sets up the log lines; it opens no socket, thread or loop.
"""

import gc
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from streaming.config import CONFIG_VARIABLE, Loaded, load
from streaming.core.errors import ConfigError
from streaming.core.settings import Settings
from streaming.engine.engine import check_settings
from streaming.logs import log_level, set_up_logging
from streaming.servers import THREADS_VARIABLE

THREADS_NOT_FOR_STREAMS = 8
"""Threads that are kept for requests that are not streams."""


COLLECT_AFTER = 20_000
"""Objects made, beyond those freed, until the garbage collector looks at the new ones; by default
700. As many that hold each other may wait for it, a few megabytes."""


class Refusal(click.ClickException):
    """Something that keeps a command from starting: one line, and status 2."""

    exit_code = 2


def load_settings() -> Settings:
    """Load the settings of an application that a server imports.

    Raises:
        ConfigError: A mistake in the configuration.
    """
    set_up_logging()
    settings = load(None, env=os.environ, cwd=Path.cwd()).settings
    threads = _threads()
    if threads is None:
        return settings
    for_streams = max(1, threads - THREADS_NOT_FOR_STREAMS)
    max_streams = min(settings.server.max_streams, for_streams)
    return replace(settings, server=replace(settings.server, max_streams=max_streams))


def _threads() -> int | None:
    threads = os.environ.get(THREADS_VARIABLE)
    if threads is None:
        return None
    if not threads.isascii() or not threads.isdigit():
        raise ConfigError("", f"${THREADS_VARIABLE} is not a number of threads")
    return int(threads)


def load_or_exit(path: str | None) -> Loaded:
    """Load the settings that a command is to serve; say so where they are the demo's.

    Args:
        path: What `--config` says; None where it does not.

    Raises:
        Refusal: A mistake in the configuration, or in the environment: the command ends.
    """
    # The process that serves warns of what it is given, with its time; this one would once more.
    logging.getLogger("fanstream").addHandler(logging.NullHandler())
    try:
        loaded = load(path, env=os.environ, cwd=Path.cwd())
        check_settings(loaded.settings)
        log_level()
        _threads()
    except ConfigError as exc:
        file = exc.file or (exc.path and (path or os.environ.get(CONFIG_VARIABLE)))
        raise Refusal(str(ConfigError(exc.path, exc.reason, file=file))) from exc
    if not loaded.settings.feeds:
        click.echo(f"warning: there is no feed in {loaded.source}", err=True)
    if loaded.is_demo:
        notice = "no feeds.toml here: these are the demo feeds, without their upstreams"
        click.echo(f"{notice}; fanstream demo serves both", err=True)
    return loaded


def spare_collector() -> None:
    """Have the garbage collector pass over all that there is by now, and come by less often.

    For a process of fanstream's own, once its application is made. What its runs leave behind is
    freed without the collector, and what their logs keep it would only walk through again: at its
    defaults it took a third of the time of a busy process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])


Run = Callable[..., None]


def run_application(run: Run) -> None:
    """Run a development server, as the options of the command line say.

    Args:
        run: Given what was loaded, `host`, `port`, `debug` and `reload`; serves until told to end.
    """

    @click.command()
    @click.option("--host", default="127.0.0.1", show_default=True)
    @click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
    @click.option("--config", metavar="FILE")
    @click.option("--debug", is_flag=True)
    @click.option("--reload", is_flag=True, help="Start again when a source file changes.")
    def command(host: str, port: int, config: str | None, debug: bool, reload: bool) -> None:
        if config is not None:
            os.environ[CONFIG_VARIABLE] = config
        run(load_or_exit(None), host=host, port=port, debug=debug, reload=reload)

    command()
