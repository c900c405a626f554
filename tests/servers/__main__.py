"""Run the matrix, and write what it measured into docs/servers.md: `python -m tests.servers`.

Nothing is written where a test fails: the table says how servers behave, not that they do not.
"""

import sys

import pytest

from tests.servers.table import DOCUMENT, Recorder, write_region

FOLDER = "tests/servers"


def main() -> int:
    recorder = Recorder()
    # The test of the table itself would fail for what is about to be mended.
    arguments = ["-q", FOLDER, "--ignore", f"{FOLDER}/test_table.py", *sys.argv[1:]]
    status = pytest.main(arguments, plugins=[_Named(recorder)])
    if status == pytest.ExitCode.OK:
        write_region(recorder.rows())
        sys.stdout.write(f"written: {DOCUMENT}\n")
    return int(status)


class _Named:
    """Registers the recorder by its name, where `record` looks for it."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.register(self._recorder, Recorder.NAME)


if __name__ == "__main__":
    sys.exit(main())
