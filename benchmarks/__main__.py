"""Run the benchmarks, all or the named: `python -m benchmarks fanout --rounds 1`.

    python -m benchmarks [names] [--rounds N] [--contenders a,b] [--cores A,B] [--into FOLDER]
    python -m benchmarks profile <workload> [--app flask]

`fanout`, `flat`, `broadcast`, `idle`, `churn`, `bridge`, `limits` and `growth` measure fanstream
and the peers in turn, `servers` fanstream on each of its servers, `redis` its log in a Redis beside
that in memory, `page` what the page has to do in a browser. They write their tables to
benchmarks/results; what is shorter than the default, or of chosen contenders, to .bench/results.
`deaf`, `delays` and `transport` print what they find. The status is 1 where one has failed or
missed a bound of its own; targets are only told.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from benchmarks import growth, page, profiling, redis_suite, report, suite
from benchmarks.contender import Contender, Cores
from benchmarks.contenders import every
from benchmarks.load.build import CannotBuildError
from benchmarks.peers import install
from benchmarks.results import FOLDER, Results, read
from benchmarks.workloads import SINGLE, WORKLOADS

OLDER = ("deaf", "delays", "transport")
NAMES = (*WORKLOADS, growth.NAME, redis_suite.NAME, page.NAME, *OLDER)
ROUNDS = 5
FEWER = {**dict.fromkeys(SINGLE, 1), redis_suite.NAME: redis_suite.ROUNDS}
CORES = os.sched_getaffinity(0)


def main() -> int:
    asked = parse()
    cores = Cores(server=asked.cores[0], client=asked.cores[1])
    if asked.names[:1] == ["profile"]:
        return profiling.main(asked.names[1:], app=asked.app, cores=cores)
    names = asked.names or NAMES
    if unknown := [name for name in names if name not in NAMES]:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}")
        return 2
    try:
        statuses = [run(name, asked, cores=cores) for name in names]
    except (CannotBuildError, install.MissingError) as exc:
        print(exc, file=sys.stderr)
        return 1
    return int(any(statuses))


def parse() -> argparse.Namespace:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=summary)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument(
        "--rounds", type=int, help=f"default: {ROUNDS}; fewer for those that take long"
    )
    parser.add_argument("--contenders", type=lambda text: text.split(","), default=[])
    parser.add_argument(
        "--cores", type=_cores, default=_last_two(), help="the server's, the client's"
    )
    parser.add_argument("--into", type=Path, help="where the results are written")
    parser.add_argument("--app", default="quart", choices=("quart", "flask"), help="of profile")
    return parser.parse_args()


def _cores(text: str) -> tuple[int, int]:
    server, client = text.split(",")
    return int(server), int(client)


def _last_two() -> tuple[int, int]:
    every = sorted(CORES)
    return every[-min(2, len(every))], every[-1]


def run(name: str, asked: argparse.Namespace, *, cores: Cores) -> int:
    print(f"\n## {name}\n", flush=True)
    if name in OLDER:
        os.sched_setaffinity(0, CORES)
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        return subprocess.run(command, check=False).returncode
    # What runs here shares the client's core; what it starts says where it is to run. A browser has
    # both, and all else with it.
    os.sched_setaffinity(0, {cores.client, *([cores.server] if name == page.NAME else [])})
    least = FEWER.get(name, ROUNDS)
    rounds = asked.rounds or least
    if name == growth.NAME:
        results = growth.run(rounds=rounds, cores=cores)
    elif name == redis_suite.NAME:
        results = redis_suite.run(rounds=rounds, cores=cores)
    elif name == page.NAME:
        results = page.run(rounds=rounds, cores=cores)
    else:
        contenders = chosen(asked.contenders)
        if any(contender.packages for contender in contenders):
            install.install()
        results = suite.run(name, contenders=contenders, rounds=rounds, cores=cores)
    is_whole = not asked.contenders and rounds >= least
    write(results, asked.into or (FOLDER if is_whole else install.BENCH / "results"))
    return 0


def chosen(names: list[str]) -> list[Contender]:
    contenders = every()
    known = {contender.name for contender in contenders}
    if unknown := set(names) - known:
        sys.exit(f"no such contender: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return [contender for contender in contenders if not names or contender.name in names]


def write(results: Results, folder: Path) -> None:
    results.write(folder)
    print(f"\n{document(results, folder)}", flush=True)
    whole = [read(folder / f"{name}.json") for name in NAMES if (folder / f"{name}.json").exists()]
    texts = [(each, document(each, folder)) for each in whole]
    for each, text in texts:
        (folder / f"{each.workload}.md").write_text(text)
    (folder / "README.md").write_text(report.readme(texts))
    print(f"written to {folder}", flush=True)


def document(results: Results, folder: Path) -> str:
    if results.workload == growth.NAME:
        return growth.document(results, folder)
    if results.workload == redis_suite.NAME:
        return redis_suite.document(results)
    if results.workload == page.NAME:
        return page.document(results)
    return report.document(results)


if __name__ == "__main__":
    sys.exit(main())
