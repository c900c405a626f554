"""What was measured: each round's figures by case and contender, their medians, and their files.

A contender that failed in a round has `failed` with the reason there, and the others count.
"""

import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("results")

Round = dict[str, Any]
"""The figures of one contender in one round; or `failed`."""

Lookup = Callable[[str, str, str], float]
"""Gives a figure, by case, contender and its name.

Raises:
    KeyError: It was not measured.
"""


@dataclass(slots=True, kw_only=True)
class Results:
    """Those of one workload.

    Args:
        workload: Its name.
        date: When it began, in UTC.
        machine: What it ran on.
        versions: Of all that took part, by name.
        measured: Rounds by case, and by contender.
    """

    workload: str
    date: str
    machine: str
    versions: dict[str, str]
    measured: dict[str, dict[str, list[Round]]] = field(default_factory=dict)

    def add(self, case: str, contender: str, round_: Round) -> None:
        self.measured.setdefault(case, {}).setdefault(contender, []).append(round_)

    def values(self, case: str, contender: str, figure: str) -> list[float]:
        rounds = self.measured.get(case, {}).get(contender, [])
        return [each[figure] for each in rounds if figure in each]

    def median(self, case: str, contender: str, figure: str) -> float:
        values = self.values(case, contender, figure)
        if not values:
            raise KeyError(figure)
        return statistics.median(values)

    def spread(self, case: str, contender: str, figure: str) -> float:
        """The distance of the least and the most, as part of the median."""
        values = self.values(case, contender, figure)
        middle = statistics.median(values)
        return (max(values) - min(values)) / middle if middle else 0.0

    def rounds(self) -> Iterator[Lookup]:
        """The lookup of each round alone."""
        most = max((len(r) for c in self.measured.values() for r in c.values()), default=0)
        for n in range(most):
            yield partial(self._of_round, n)

    def _of_round(self, n: int, case: str, contender: str, figure: str) -> float:
        rounds = self.measured.get(case, {}).get(contender, [])
        if n >= len(rounds):
            raise KeyError(figure)
        return float(rounds[n][figure])

    def remarks(self, case: str, contender: str) -> list[str]:
        """Say why it has failed, and what its clients had to complain of; the last of each."""
        rounds = self.measured[case][contender]
        failed = [each["failed"] for each in rounds if "failed" in each]
        errors = [each["errors"] for each in rounds if each.get("errors")]
        messages = [text for each in rounds for text in each.get("messages", ())]
        found = []
        if failed:
            found.append(f"failed in {len(failed)} of {len(rounds)} rounds: {failed[-1][:300]}")
        if errors:
            found.append(f"{sum(errors):.0f} errors: {'; '.join(messages[-1:])[:200]}")
        return found

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1)
        (folder / f"{self.workload}.json").write_text(text + "\n")


def read(file: Path) -> Results:
    return Results(**json.loads(file.read_text()))
