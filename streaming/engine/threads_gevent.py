"""What `streaming.engine.threads` is where gevent has patched the process."""

import threading

import gevent
from gevent.event import Event
from gevent.monkey import get_original


class GreenletGate:
    """A gate for a worker that is a greenlet: the hub is woken from the other thread."""

    def __init__(self) -> None:
        self._opened = Event()
        # A watcher must not be sent to while, or after, it is closed.
        self._closing: threading.Lock = get_original("_thread", "allocate_lock")()
        self._is_closed = False
        self._watcher = gevent.get_hub().loop.async_()
        self._watcher.start(self._opened.set)

    def open(self) -> None:
        """See `streaming.engine.threads.Gate`."""
        with self._closing:
            if not self._is_closed:
                self._watcher.send()

    def wait(self, timeout: float | None = None) -> None:
        """See `streaming.engine.threads.Gate`."""
        self._opened.wait(timeout)
        self._opened.clear()

    def close(self) -> None:
        """See `streaming.engine.threads.Gate`."""
        with self._closing:
            self._is_closed = True
            self._watcher.stop()
            self._watcher.close()
