"""Whatever is appended, trimmed, read and cut off, in any order: nothing is lost without a word."""

import json

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streaming.core import body as body_module
from streaming.core.body import BodyLimits, StreamBody
from streaming.core.sse_decoder import ReceivedEvent, SseDecoder
from streaming.core.wire import WIRES
from tests.trimming_log import RUN, TrimmingLog

LIMITS = BodyLimits(retry_ms=2000, ping_interval=15.0, max_lag_events=10**6, max_lag_bytes=10**9)


class ResumingViewer(RuleBasedStateMachine):
    """A viewer that reads a log, breaks off now and then, and comes back with its last id.

    `story` is what it knows: the numbers since the last `reset`, or since it came.
    """

    writes_per_event = 1

    def __init__(self) -> None:
        super().__init__()
        self.log = TrimmingLog(max_read=3)
        self.log.append("start")
        self.now = 0.0
        self.story: list[int] = []
        self.was_reset = False
        self.dropped: set[int] = set()
        self.connect()

    @property
    def cursor(self) -> int:
        return self.story[-1] if self.story else 0

    @rule()
    def connect(self) -> None:
        """Break off between two writes, and resume."""
        last_id = f"{RUN}-{self.cursor}" if self.story else None
        self.body = StreamBody(
            self.log,
            wire=WIRES["sse"],
            limits=LIMITS,
            now=self.now,
            after=self.cursor,
            last_id=last_id,
        )
        self.decoder = SseDecoder()

    @precondition(lambda self: not self.log.is_ended)
    @rule(name=st.sampled_from(["chunk", "chunk", "chunk", "result", "attempt", "done"]))
    def append(self, name: str) -> None:
        self.log.append(name)

    @rule(count=st.integers(1, 6))
    def trim(self, count: int) -> None:
        """Drop the oldest chunks."""
        chunks = [entry.n for entry in self.log.held if entry.name == "chunk"][:count]
        self.log.trim_through(max(chunks, default=0))
        self.dropped.update(chunks)

    @rule(count=st.integers(0, 3))
    def trim_at_the_next_reading(self, count: int) -> None:
        """Drop chunks in the middle of a step, as another thread may."""

        def trim() -> None:
            self.log.before_read = lambda: None
            self.trim(count)

        self.log.before_read = trim

    @rule(seconds=st.sampled_from([0.0, 1.0, 20.0]))
    def step(self, seconds: float) -> None:
        self.now += seconds
        written = self.body.step(self.now)
        if isinstance(written, float):
            assert written > self.now
            assert self.body.rest_until() in (None, written)
        for event in self.decoder.decode(written) if isinstance(written, bytes) else []:
            self.receive(event)
        if written is None:
            assert self.log.is_ended
            assert self.cursor == self.log.last

    def receive(self, event: ReceivedEvent) -> None:
        if event.event == "reset":
            missed = {n for n in self.dropped if n > self.cursor}
            assert missed, "a reset, and nothing was missed"
            self.story, self.was_reset = [], True
            return
        run, _, n = event.last_event_id.rpartition("-")
        assert run == RUN
        assert json.loads(event.data) == {"n": int(n)}
        assert int(n) > self.cursor, "repeated, or out of order"
        self.story.append(int(n))

    @invariant()
    def is_whole(self) -> None:
        """What is known is the log or, after a `reset`, the log without one dropped beginning."""
        missing = set(range(1, self.cursor + 1)) - set(self.story)
        assert missing <= self.dropped, "lost what is still held"
        if missing:
            assert self.was_reset, "a silent gap"
            before = [n for n in self.story if n < max(missing)]
            assert not self.chunks & set(before), "a silent gap after a chunk"

    @property
    def chunks(self) -> set[int]:
        return self.dropped | {entry.n for entry in self.log.held if entry.name == "chunk"}

    def teardown(self) -> None:
        """Whoever reads to the end has everything, in fewer steps than there are events."""
        self.log.before_read = lambda: None
        if not self.log.is_ended:
            self.log.append("done")
        for _ in range((self.log.last + 3) * self.writes_per_event):
            self.step(0.0)
        assert self.cursor == self.log.last
        assert {entry.n for entry in self.log.held} <= set(self.story)


class CutViewer(ResumingViewer):
    """The same where hardly an event fits into a write, so that it also breaks off within one."""

    writes_per_event = 4

    def __init__(self) -> None:
        self.max_write_bytes = body_module.MAX_WRITE_BYTES
        body_module.MAX_WRITE_BYTES = 40
        super().__init__()

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            body_module.MAX_WRITE_BYTES = self.max_write_bytes


TestResumingViewer = ResumingViewer.TestCase
TestCutViewer = CutViewer.TestCase
TestResumingViewer.settings = TestCutViewer.settings = settings(
    max_examples=300, stateful_step_count=40, deadline=None
)
