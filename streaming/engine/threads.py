"""Threads, locks and waiting, as the bridge needs them: the standard library's, or gevent's.

Where gevent has patched the process, `threading` makes greenlets, which share one thread with the
workers. The engine still needs a thread of the operating system, its locks must be the real ones,
and a worker that waits must let the other greenlets run.
"""

import select
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Protocol


class Gate(Protocol):
    """Where one worker waits until another thread lets it pass, once for each time it is opened."""

    def open(self) -> None:
        """Let the worker pass, or the next time that it comes. From any thread."""
        ...

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the gate is opened, or so many seconds; it is shut again then."""
        ...

    def close(self) -> None:
        """Let go of what the gate holds. From the worker."""
        ...


class ThreadGate:
    """A gate for a worker that is a thread."""

    def __init__(self) -> None:
        # Held while the gate is shut.
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> None:
        """See `Gate`. Only one thread may open a gate."""
        if self._lock.locked():
            self._lock.release()

    def wait(self, timeout: float | None = None) -> None:
        """See `Gate`."""
        seconds = -1 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX)
        self._lock.acquire(timeout=seconds)

    def close(self) -> None:
        """See `Gate`."""


def is_gevent() -> bool:
    """Say whether gevent has patched this process's threads."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and monkey.is_module_patched("threading")


def make_gate() -> Gate:
    """Make a gate for the worker that calls."""
    if is_gevent():
        gate: Gate = import_module("streaming.engine.threads_gevent").GreenletGate()
        return gate
    return ThreadGate()


def make_lock() -> threading.Lock:
    """Make a lock that holds between threads of the operating system, for a few microseconds."""
    if is_gevent():
        monkey = import_module("gevent.monkey")
        lock: threading.Lock = monkey.get_original("_thread", "allocate_lock")()
        return lock
    return threading.Lock()


def make_poll() -> select.poll:
    """Make what asks the system of descriptors: never gevent's, which asks its hub."""
    if is_gevent():
        poll: select.poll = import_module("gevent.monkey").get_original("select", "poll")()
        return poll
    return select.poll()


def start_thread(function: Callable[[], None], *, name: str) -> None:
    """Run a function in a thread of the operating system, which keeps no process from ending."""
    if is_gevent():
        monkey = import_module("gevent.monkey")
        monkey.get_original("_thread", "start_new_thread")(function, ())
    else:
        threading.Thread(target=function, name=name, daemon=True).start()
