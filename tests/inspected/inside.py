"""What an application lets be seen of its inside, for tests that look from another process.

`app_flask` and `app_quart` beside this serve the feeds of a configuration, as the applications of
those names do, and two streams of their own; `/inside` answers what `Inside` knows.
"""

import asyncio
import gc
import os
import threading
import weakref
from collections import Counter
from typing import Any

from streaming.core.entry import Entry
from streaming.engine.engine import Engine
from streaming.engine.execution import Execution
from streaming.engine.log_memory import MemoryLog
from streaming.engine.log_stream import StreamLog
from streaming.engine.run import Run
from streaming.engine.runs_memory import MemoryRuns
from streaming.engine.socket_watch import SocketWatch
from streaming.engine.upstream_call import UpstreamCall
from streaming.engine.viewer import Viewer

HELD = (Entry, Execution, MemoryLog, Run, SocketWatch, StreamLog, UpstreamCall, Viewer)

_MEETING_TIMEOUT = 10.0


class Inside:
    """What has happened in an application, and what it holds.

    Attributes:
        counts: Requests, teardown functions that ran, views' generators that began and were closed.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._entered: Counter[int] = Counter()
        self._of_requests: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._barrier: threading.Barrier | None = None
        self._lock = threading.Lock()

    def enter(self, *, has_context: bool) -> None:
        """Note that a thread or a task begins with a request, and whether in another's context."""
        with self._lock:
            self._entered[threading.get_ident()] += 1
            self.counts["entered"] += 1
            self.counts["entered_in_a_context"] += has_context

    def count(self, name: str) -> None:
        """Note that something has happened."""
        with self._lock:
            self.counts[name] += 1

    def hold_weakly(self, thing: Any, *, path: str) -> None:
        """Note an object of a request, to see when it has gone."""
        self._of_requests[thing] = path

    def meet(self, threads: int) -> int:
        """Wait until so many threads are here at once; return how many there were."""
        with self._lock:
            if self._barrier is None or self._barrier.parties != threads:
                self._barrier = threading.Barrier(threads)
        self._barrier.wait(_MEETING_TIMEOUT)
        return threads

    async def look(self, engine: Engine) -> dict[str, Any]:
        """Say what is here now. On the engine's loop."""
        gc.collect()
        objects = Counter(type(each).__name__ for each in gc.get_objects() if type(each) in HELD)
        assert isinstance(engine.runs, MemoryRuns)
        table = engine.runs._table
        return {
            "pid": os.getpid(),
            "tasks": len(asyncio.all_tasks()),
            "streams": engine.admission.open,
            "viewers": len(engine._viewers),
            "runs": len(table._by_id),
            "log_bytes": table.budget.used,
            "objects": objects,
            "requests": sorted(self._of_requests.values()),
            "threads": [thread.name for thread in threading.enumerate()],
            "entered": list(self._entered.values()),
            "counts": self.counts,
        }
