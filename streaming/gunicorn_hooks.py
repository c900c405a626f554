"""gunicorn's hooks for applications that stream, in a configuration of one's own.

    from streaming.gunicorn_hooks import post_fork, pre_fork, worker_int

gunicorn tells nobody that a worker ends, but each keeps in `alive` whether it does: at SIGTERM, at
its `max_requests` and at a reload. The engines of the worker look at that, and drain (DESIGN
"Drain"). What hooks are and when they are called is gunicorn's, and it is not imported here. Nor is
anything that opens connections: gevent patches a worker after this has been imported.
"""

import logging
import os
from typing import Any

from streaming.engine.control import CONTROL_VARIABLE, Ending, find_ending, set_ending
from streaming.gunicorn_gthread import bound_waiting
from streaming.logs import TokenRedaction
from streaming.servers import THREADS_VARIABLE

QUIT_TIMEOUT = 1
"""Whole seconds that connections have at SIGINT and SIGQUIT, beside what a worker's own loop takes.
gunicorn kills a worker 2 s after a Ctrl-C that follows a SIGTERM, else when it is told to end and
has not after `graceful_timeout`."""


def pre_fork(server: Any, worker: Any) -> None:
    """Bound what clients can keep a worker waiting with.

    Args:
        server: gunicorn's arbiter.
        worker: The worker that is to be forked.
    """
    if worker.cfg.worker_class_str == "gthread":
        bound_waiting(worker)


def post_fork(server: Any, worker: Any) -> None:
    """Have this worker's streams end when it does, and bound them by its threads.

    Called before the application is loaded. A parent that says when to drain goes before. What
    gunicorn writes into its access log is rid of tokens.

    Args:
        server: gunicorn's arbiter.
        worker: The worker that has just been forked.
    """
    logging.getLogger("gunicorn.access").addFilter(TokenRedaction())
    if CONTROL_VARIABLE not in os.environ:
        ending = Ending(lambda: not worker.alive)
        set_ending(ending)
        _quit_in_order(worker, ending)
    if worker.cfg.worker_class_str == "gthread":
        os.environ.setdefault(THREADS_VARIABLE, str(worker.cfg.threads))


def worker_int(worker: Any) -> None:
    """Have streams end at once: the worker was told so, by SIGINT or SIGQUIT.

    Args:
        worker: The worker.
    """
    if ending := find_ending():
        ending.hurry()


def _quit_in_order(worker: Any, ending: Ending) -> None:
    """Have a worker's streams say their last words at SIGINT and SIGQUIT as well.

    By itself it breaks off what its main thread does, or all connections, at once and once more
    when the same Ctrl-C comes again, from the arbiter as SIGQUIT; and the ASGI worker tells nobody
    where a SIGTERM came before.

    Args:
        worker: The worker, before it handles signals.
        ending: What its engines look at.
    """

    def quit_asgi() -> None:
        was_ending, is_first = not worker.alive, not ending.is_hurried
        end()
        if was_ending and is_first:
            worker.loop.call_later(QUIT_TIMEOUT, cut_off)

    def cut_off() -> None:
        worker._quick_shutdown = True  # noqa: SLF001 - it has no other way to say so

    def quit_wsgi(number: int, frame: object) -> None:
        worker.handle_exit(number, frame)
        end()

    def end() -> None:
        worker.alive = False
        worker.cfg.set("graceful_timeout", QUIT_TIMEOUT)
        ending.hurry()
        worker.cfg.worker_int(worker)

    if worker.cfg.worker_class_str == "asgi":
        worker.handle_quit_signal = quit_asgi
    if worker.cfg.worker_class_str in ("gthread", "gevent"):
        worker.handle_quit = quit_wsgi
