"""gunicorn's hooks for applications that stream, in a configuration of one's own.

    from streaming.gunicorn_hooks import post_fork, pre_fork, worker_int

gunicorn tells nobody that a worker ends, but each keeps in `alive` whether it does: at SIGTERM, at
its `max_requests` and at a reload. The engines of the worker look at that, and drain (DESIGN
"Drain"). What hooks are and when they are called is gunicorn's, and it is not imported here. Nor is
anything that opens connections: gevent patches a worker after this has been imported.
"""

import os
from typing import Any

from streaming.engine.control import CONTROL_VARIABLE, Ending, find_ending, set_ending
from streaming.engine.keep_alive import bound_silence
from streaming.gunicorn_gthread import bound_waiting
from streaming.servers import THREADS_VARIABLE

UNANSWERED_TIMEOUT = 30.0
"""Seconds until the kernel gives up a client of the ASGI worker that acknowledges nothing. The
other workers' are given up by `send_timeout`, which is not known before the application is."""


def pre_fork(server: Any, worker: Any) -> None:
    """Bound what clients can keep a worker waiting with.

    Called before there is the worker's process: a client that comes while the application is being
    loaded is bounded as well.

    Args:
        server: gunicorn's arbiter.
        worker: The worker that is to be forked.
    """
    if worker.cfg.worker_class_str == "gthread":
        bound_waiting(worker)
    if worker.cfg.worker_class_str == "asgi":
        # It gives its applications no socket; what is set on those that listen is inherited.
        for listener in worker.sockets:
            bound_silence(listener.sock, seconds=UNANSWERED_TIMEOUT)


def post_fork(server: Any, worker: Any) -> None:
    """Have this worker's streams end when it does, and bound them by its threads.

    Called before the application is loaded. A parent that says when to drain goes before.

    Args:
        server: gunicorn's arbiter.
        worker: The worker that has just been forked.
    """
    if CONTROL_VARIABLE not in os.environ:
        set_ending(Ending(lambda: not worker.alive))
    if worker.cfg.worker_class_str == "gthread":
        os.environ.setdefault(THREADS_VARIABLE, str(worker.cfg.threads))


def worker_int(worker: Any) -> None:
    """Have streams end at once: the worker was told so, by SIGINT or SIGQUIT.

    Args:
        worker: The worker.
    """
    if ending := find_ending():
        ending.hurry()
