"""The table in docs/servers.md: a row for each stack, a column for each point of the matrix.

It is written by a run of the matrix (see `__main__`) into the region between two comments; the rest
of the document is written by hand.
"""

import os
import platform
import re
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from tests.servers.newer_python import version_of
from tests.servers.stacks import DRAIN_TIMEOUT, MAX_STREAMS, SEND_TIMEOUT, STACKS, Stack
from tests.serving import ROOT

DOCUMENT = ROOT / "docs" / "servers.md"

BEGIN = "<!-- Written by `make servers`; a change by hand is lost. -->"
END = "<!-- The end of what `make servers` writes. -->"

# Each point, and how its seconds are said; a word is said as it is.
COLUMNS = {
    "leaves, talking": "{:.3f} s",
    "leaves, silent": "{:.3f} s",
    "half-closed": "",
    "preamble": "{:.3f} s",
    "HEAD, then another": "",
    "never reads": "{:.1f} s",
    "one stream too many": "{:.3f} s",
    "SIGTERM, ten streams": "{:.1f} s",
    "two SIGTERMs": "{:.1f} s",
    "`finally`, `aclose`, teardown": "",
}


class Recorder:
    """Gathers what a run measures, and is known to pytest by its name."""

    NAME = "servers-table"

    def __init__(self) -> None:
        self._measured: defaultdict[tuple[Stack, str], list[float | str]] = defaultdict(list)

    def put(self, stack: Stack, column: str, measured: float | str) -> None:
        """Take a measurement; of several for one cell the worst is said."""
        self._measured[stack, column].append(measured)

    def rows(self) -> list[str]:
        """Return the table, line by line."""
        return [
            f"| stack | {' | '.join(COLUMNS)} |",
            f"|---|{'---|' * len(COLUMNS)}",
            *(
                f"| {stack.title}: {stack.versions} | "
                + " | ".join(self._cell(stack, column) for column in COLUMNS)
                + " |"
                for stack in STACKS
            ),
        ]

    def _cell(self, stack: Stack, column: str) -> str:
        """Say what was measured on the running Python, and on a newer one beside it."""
        said = []
        for (measured_stack, measured_column), measured in self._measured.items():
            if (measured_stack.pair, measured_column) == (stack.pair, column):
                python = measured_stack.python
                where = f" ({version_of(python)})" if python else ""
                worst = max(measured, key=lambda each: (isinstance(each, str), each))
                form = "{}" if isinstance(worst, str) else COLUMNS[column]
                said.append((where, form.format(worst) + where))
        return ", ".join(text for _, text in sorted(said)) or "not measured"


def write_region(rows: list[str], *, document: Path = DOCUMENT) -> None:
    """Put a table in the place of the one that stands in the document, and say where it is from."""
    region = "\n".join([BEGIN, _origin(), "", *rows, END])
    text = document.read_text()
    standing = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    written = standing.sub(lambda _: region, text)
    if written.count(region) != 1:
        raise RuntimeError(f"{document} has no place for the table")
    document.write_text(written)


def _origin() -> str:
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with Python {platform.python_version()}"
        f" on {platform.system()}, {os.cpu_count()} cores,"
        f" with `drain_timeout` {DRAIN_TIMEOUT:g} s, `send_timeout` {SEND_TIMEOUT:g} s"
        f" and `max_streams` {MAX_STREAMS}, by the tests in `tests/servers`."
    )
