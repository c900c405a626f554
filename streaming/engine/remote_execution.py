"""The execution of a run in another process, as it is seen from a process where it has viewers."""

from typing import Protocol

from streaming.engine.run import Run


class Elsewhere(Protocol):
    """What tells another process of what happens here."""

    def receive_viewers(self, run: Run, *, has_viewers: bool) -> None:
        """Say whether there are viewers here: the first has come, or the last has left."""
        ...

    def tell_expected(self, run: Run) -> None:
        """Say that somebody has been told of the run, and may come."""
        ...

    def request_stop(self, run: Run, reason: str) -> None:
        """Ask for the run's end."""
        ...


class RemoteExecution:
    """See `streaming.engine.run.Executing`.

    Args:
        run: The run.
        elsewhere: What tells whoever executes it.
    """

    def __init__(self, run: Run, *, elsewhere: Elsewhere) -> None:
        self.is_stopping = False
        self._run = run
        self._elsewhere = elsewhere
        self._viewers = 0

    def attach(self) -> None:
        """Count a viewer that comes; the first is told of."""
        self._viewers += 1
        if self._viewers == 1:
            self._elsewhere.receive_viewers(self._run, has_viewers=True)

    def detach(self) -> None:
        """Count a viewer that leaves; the last is told of."""
        self._viewers -= 1
        if not self._viewers:
            self._elsewhere.receive_viewers(self._run, has_viewers=False)

    def expect_viewer(self) -> None:
        """Have the run wait for a viewer anew."""
        if not self._viewers:
            self._elsewhere.tell_expected(self._run)

    def stop(self, reason: str) -> None:
        """Ask for the run's end."""
        self.is_stopping = True
        self._elsewhere.request_stop(self._run, reason)
