"""What a stream of one's own says: the events of what a view yields, and the last words.

It waits for nothing; `own_stream` runs the view and carries what is said here.
"""

import logging
from dataclasses import replace
from time import monotonic
from typing import Any

from streaming.core.errors_upstream import InternalError
from streaming.core.event import Event

logger = logging.getLogger("fanstream")

DONE_ID = "done"
"""The id of the last event. It says that all has been had, so coming back with it gives a 204."""


class Story:
    """Makes events of what a view yields, and the last words of its stream."""

    def __init__(self) -> None:
        self._started = monotonic()
        self._is_done = False

    def event_of(self, item: Any) -> Event:
        """Return the event of one item: an event as it is, else a `message` with the item as data.

        Raises:
            InvalidEvent: The item has no JSON form.
        """
        event = item if isinstance(item, Event) else Event(data=item)
        self._is_done = event.name == "done"
        # One without an id, such as that of `merge`, would have a browser ask for all of it again.
        return replace(event, id=DONE_ID) if self._is_done and event.id is None else event

    def last_words(self, error: BaseException | None = None) -> list[Event]:
        """Return what ends the stream, unless the view has said `done` itself or nobody listens."""
        if error is not None:
            logger.error("the generator of a stream raised", exc_info=error)
        if self._is_done:
            return []
        at = round(monotonic() - self._started, 6)
        if error is None:
            return [_done(at, ok=1, failed=0, reason="finished")]
        internal = InternalError()
        data = {"at": at, "upstream": None, "code": internal.code, "message": str(internal)}
        return [Event("failure", data), _done(at, ok=0, failed=1, reason="failed")]

    def receive_left(self) -> None:
        """Say nothing more: the viewer has gone."""
        self._is_done = True


def _done(at: float, *, ok: int, failed: int, reason: str) -> Event:
    counts = {"ok": ok, "failed": failed, "cancelled": 0}
    return Event("done", {"at": at, **counts, "elapsed": at, "reason": reason}, id=DONE_ID)
