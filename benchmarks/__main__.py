"""Run the benchmarks, all or the named: `python -m benchmarks [deaf] [delays] [transport]`.

Each is a module of this folder that can be run alone too, and runs in a process of its own, so that
none finds what another has left behind. The status is 1 where one has failed or missed a bound.
"""

import subprocess
import sys

SUITES = ("deaf", "delays", "transport")


def main() -> int:
    names = sys.argv[1:] or SUITES
    if unknown := set(names) - set(SUITES):
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(SUITES)}")
        return 2
    statuses = [run(name) for name in names]
    return int(any(statuses))


def run(name: str) -> int:
    print(f"\n## {name}\n", flush=True)
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
