"""What the upstreams were asked for, held against what the viewers of a run have seen.

Nothing is seen that is not in the log. So whatever is called later than its outcome, or a chunk of
it, was seen was called again though the log had it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from tests.processes.audience import Story
from tests.upstreams import UpstreamsThread

# Seconds that a request takes from the process that makes it to being noted.
_MARGIN = 0.25


class Ledger:
    """The calls of the runs of some feed, by the `key` in their paths.

    Args:
        upstreams: What counts them.
    """

    def __init__(self, upstreams: UpstreamsThread) -> None:
        self._times: defaultdict[str, list[float]] = defaultdict(list)
        for request in list(upstreams.requests):
            _, _, rest = request.path[1:].partition("/")
            self._times[rest].append(request.time)

    def calls(self, key: str, upstream: str) -> int:
        """How often an upstream of a run was called."""
        return len(self._times.get(f"{key}/{upstream}", ()))

    @property
    def repeated(self) -> int:
        """How many calls were made again."""
        return sum(len(times) - 1 for times in self._times.values())

    def check_bought_once(self, upstream: str) -> None:
        """See that one that is not repeatable was called once at most, by whatever run.

        Raises:
            AssertionError: It was not.
        """
        for path, times in self._times.items():
            assert not path.endswith(f"/{upstream}") or len(times) == 1, f"{path}: {times}"

    def check(self, story: Story) -> None:
        """See that nothing was called of which the log had an outcome, or a chunk.

        Raises:
            AssertionError: It was.
        """
        said: dict[str, float] = {}
        events = list(zip(story.events, story.seen, strict=True))
        for event, seen in events:
            if event["event"] in ("chunk", "result", "failure"):
                said.setdefault(event["data"]["upstream"], seen)
        key = events[0][0]["data"]["params"]["key"]
        for upstream, seen in said.items():
            late = [
                t - seen for t in self._times.get(f"{key}/{upstream}", ()) if t > seen + _MARGIN
            ]
            assert not late, f"{key}/{upstream} was called {late} s behind what it had said"


def check_whole(story: Story, *, upstreams: Iterable[str]) -> Mapping[str, Any]:
    """See that a run is told whole: each upstream has one outcome, behind all its chunks.

    Returns:
        The data of its `done`.

    Raises:
        AssertionError: It is not.
    """
    chunks: defaultdict[str, list[int]] = defaultdict(list)
    outcomes: dict[str, dict[str, Any]] = {}
    for event in story.events:
        data = event["data"]
        if event["event"] == "chunk":
            assert data["upstream"] not in outcomes, event
            chunks[data["upstream"]].append(data["n"])
        if event["event"] in ("result", "failure"):
            assert data["upstream"] not in outcomes, event
            outcomes[data["upstream"]] = data
            assert data["done"] == len(outcomes), event
    assert outcomes.keys() == set(upstreams)
    for name, numbers in chunks.items():
        assert numbers == list(range(1, len(numbers) + 1)), (name, numbers)
        assert outcomes[name].get("chunks", len(numbers)) == len(numbers), outcomes[name]
    done = story.done
    assert done["ok"] + done["failed"] + done["cancelled"] == len(outcomes)
    return done
