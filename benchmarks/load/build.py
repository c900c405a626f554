"""Compile the load programs on demand.

    python -m benchmarks.load.build

They land in `.bench/bin`, and are compiled again when one of their sources, or this file, is newer.
Processes that build at once do not disturb each other: a program appears whole or not at all.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCES = Path(__file__).parent
BIN = SOURCES.parents[1] / ".bench" / "bin"
PROGRAMS = {
    "upstream": ("upstream.c", "upstream_answers.c", "lines.c", "sockets.c", "timers.c"),
    "client": (
        *("client.c", "client_broadcast.c", "client_churn.c", "client_fanout.c"),
        *("client_streams.c", "connections.c", "figures.c", "lines.c", "marks.c", "options.c"),
        *("publisher.c", "response.c", "sockets.c"),
    ),
}
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror")


class CannotBuildError(Exception):
    """There is no C compiler, or it refused a source."""


def built(name: str) -> Path:
    """Return where the program is, compiled by now.

    Raises:
        CannotBuildError: There is no C compiler, or it refused a source.
    """
    program = BIN / name
    if not program.exists() or program.stat().st_mtime < newest_source(name):
        compile_program(name, program)
    return program


def newest_source(name: str) -> float:
    sources = [SOURCES / source for source in PROGRAMS[name]]
    return max(path.stat().st_mtime for path in (*sources, *SOURCES.glob("*.h"), Path(__file__)))


def compile_program(name: str, program: Path) -> None:
    if not sys.platform.startswith("linux"):
        raise CannotBuildError("the load programs wait with epoll, which only Linux has")
    if (compiler := shutil.which("cc")) is None:
        raise CannotBuildError("the load programs need a C compiler, and there is no `cc`")
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent) as folder:
        output = Path(folder) / name
        command = (compiler, *FLAGS, "-o", str(output), *PROGRAMS[name])
        done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotBuildError(f"cc did not compile {name}:\n{done.stderr}")
        output.replace(program)


def main() -> int:
    try:
        for name in PROGRAMS:
            print(built(name))
    except CannotBuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
